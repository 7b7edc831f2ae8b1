package model

// Dedup leaves out records whose id was passed on less than Horizon away in event time.
type Dedup[K comparable, T any, C comparable] struct {
	// Horizon and Lateness are in ns. A record that is Lateness or more behind the watermark is late.
	Horizon, Lateness int64
	ID                func(T) K
	Content           func(T) C
}

// Deduped is what comes out of a Dedup.
type Deduped[T any] struct {
	Kept, Late, Duplicates []Item[T]
	// Conflicts counts the duplicates whose content differs from that of the record they repeat, the latest of several.
	Conflicts int64
}

// Run returns what a Dedup makes of a stream.
func (d Dedup[K, T, C]) Run(in []Item[T]) (out Deduped[T]) {
	clock := int64(None)
	for _, x := range in {
		var first *Item[T]
		for i, k := range out.Kept {
			near := k.Time-d.Horizon < x.Time && x.Time < k.Time+d.Horizon
			if !k.Mark && !x.Mark && near && d.ID(k.Value) == d.ID(x.Value) && (first == nil || first.Time < k.Time) {
				first = &out.Kept[i]
			}
		}
		switch {
		case x.Mark:
			clock = x.Time
			out.Kept = append(out.Kept, x)
		case clock == End || x.Time <= clock-d.Lateness && clock != None:
			out.Late = append(out.Late, x)
		case first != nil:
			out.Duplicates = append(out.Duplicates, x)
			if d.Content(first.Value) != d.Content(x.Value) {
				out.Conflicts++
			}
		default:
			out.Kept = append(out.Kept, x)
		}
	}
	return out
}
