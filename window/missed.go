package window

// Missed is a record that came too late for some of its windows, or for all.
type Missed[K comparable, T any] struct {
	Key    K `json:"key" csv:"key"`
	Record T `json:"record" csv:"record"`
	// Windows are those that the record has missed, earliest first. For a session it is the one that the record would have been in.
	Windows Spans `json:"windows" csv:"windows"`
}
