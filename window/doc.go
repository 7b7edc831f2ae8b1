// Package window names the ways to cut event time into windows. An assigner is a plain value that says what is wanted; it is given to Window
// of a keyed stream:
//
//	perBase.Window(window.Sliding(time.Hour, time.Minute))
//
// The same four rides, at five past eight, half past eight, five to nine and ten past nine, are counted
//
//	Tumbling(time.Hour)                  each hour          08-09: 3, 09-10: 1
//	Sliding(time.Hour, 30*time.Minute)   the last hour,     07:30-08:30: 1, 08-09: 3, 08:30-09:30: 3, 09-10: 1
//	                                     each half hour
//	Cumulative(24*time.Hour, time.Hour)  the day so far,    00-09: 3, 00-10: 4, 00-11: 4, and so on until midnight
//	                                     each hour
//	Session(20*time.Minute)              until a pause      08:05-08:25: 1, 08:30-08:50: 1, 08:55-09:30: 2
//	                                     of 20 minutes
//	Calendar(Day, berlin)                each date          the day: 4, also when it has 23 hours
//
// A window is a half-open range of event time, [start, end): a ride at nine is in 09-10. Windows are aligned to the start of 1970 in UTC plus an offset,
// also for times before it; those of a calendar to the dates of its time zone, and sessions to their records. A window fires
// when the watermark reaches its last instant, end - 1 ns, which is the event time of its results; a session when no record can join it any more.
//
// Whatever the number of windows that a record is in, it costs one update. State is kept for the spans of time that windows share, and merged when
// they fire.
//
// Count and Global cut by the number of records, or not at all.
//
// # When a window gives results
//
// Without a word: once, when the watermark passes its end, and again for each record that comes after that within the allowed
// lateness. A Trigger says otherwise:
//
//	// A dashboard: first figures within seconds, and the final one when it is known.
//	w.Trigger(window.AtEnd().Early(window.Every(10 * time.Second)))
//
//	// Late records come in bursts: one more result for each burst, not for each record.
//	w.AllowedLateness(time.Hour).Trigger(window.AtEnd().Late(window.PerWatermark()))
//
//	// No end at all: a result after 1000 records, or after a minute if there are fewer, of those records alone.
//	s.KeyBy(f).Window(window.Global()).Discarding().
//		Trigger(window.AnyOf(window.EveryCount(1000), window.Every(time.Minute)))
//
// Each result says why it came (Pane.Kind: early, on time or late) and counts those of its key and window (Pane.Revision). A window is
// accumulating: each result is of all its records, and replaces the one before. If it is discarding, each result is of the
// records since the one before, and they add up. A trigger of one's own is a Custom.
package window
