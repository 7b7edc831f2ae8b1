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
// The package is not for triggers or lateness: they belong to the operator that the windows are given to.
package window
