package bench

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/window"
)

// Records of three to eight fields. The compiler keeps a struct in registers up to four fields; a string is two words.
type (
	rec3 struct{ Time, Key, Val int64 }
	rec4 struct{ Time, Key, Val, D int64 }
	rec5 struct{ Time, Key, Val, D, E int64 }
	rec6 struct{ Time, Key, Val, D, E, F int64 }
	rec8 struct{ Time, Key, Val, D, E, F, G, H int64 }
	str4 struct {
		Time, Key, Val int64
		Name           string
	}
	str6 struct {
		Time, Key, Val int64
		Name, City     string
		F              int64
	}
	str8 struct {
		Time, Key, Val          int64
		Name, City, Street, Zip string
		H                       int64
	}
)

// verbs are the functions of the job for a record type, in both forms.
type verbs[T any] struct {
	make    func(t, k, v int64) T
	at      func(*T) int64
	add     func(T) T
	keep    func(T) bool
	key     func(T) int64
	val     func(T) int64
	addRef  func(in, out *T)
	incRef  func(*T)
	keepRef func(*T) bool
	keyRef  func(*T) int64
	valRef  func(*T) int64
}

// BenchmarkValueOrPointer runs Map, Filter, KeyBy and a sum over a window with records by value and by pointer, each in its own
// rounds in turn, and prints what the form by value costs more.
func BenchmarkValueOrPointer(b *testing.B) {
	for b.Loop() {
		var out strings.Builder
		fmt.Fprintf(&out, "\nMap, Filter, KeyBy, Sum over a window of %d records; CPU ns for a record, medians of %d interleaved rounds\n", valueRecords, rounds)
		fmt.Fprintf(&out, "%-26s %6s %9s %9s %9s %7s %7s\n", "record", "bytes", "by value", "UpdateRef", "MapRef", "to Upd.", "to Map")
		valueOrPointer(b, &out, "3 integers", verbs[rec3]{
			make:    func(t, k, v int64) rec3 { return rec3{Time: t, Key: k, Val: v} },
			at:      func(r *rec3) int64 { return r.Time },
			add:     func(r rec3) rec3 { r.Val++; return r },
			keep:    func(r rec3) bool { return r.Val&15 != 0 },
			key:     func(r rec3) int64 { return r.Key },
			val:     func(r rec3) int64 { return r.Val },
			addRef:  func(in, out *rec3) { *out = *in; out.Val++ },
			incRef:  func(r *rec3) { r.Val++ },
			keepRef: func(r *rec3) bool { return r.Val&15 != 0 },
			keyRef:  func(r *rec3) int64 { return r.Key },
			valRef:  func(r *rec3) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "4 integers", verbs[rec4]{
			make:    func(t, k, v int64) rec4 { return rec4{Time: t, Key: k, Val: v} },
			at:      func(r *rec4) int64 { return r.Time },
			add:     func(r rec4) rec4 { r.Val++; return r },
			keep:    func(r rec4) bool { return r.Val&15 != 0 },
			key:     func(r rec4) int64 { return r.Key },
			val:     func(r rec4) int64 { return r.Val },
			addRef:  func(in, out *rec4) { *out = *in; out.Val++ },
			incRef:  func(r *rec4) { r.Val++ },
			keepRef: func(r *rec4) bool { return r.Val&15 != 0 },
			keyRef:  func(r *rec4) int64 { return r.Key },
			valRef:  func(r *rec4) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "5 integers", verbs[rec5]{
			make:    func(t, k, v int64) rec5 { return rec5{Time: t, Key: k, Val: v} },
			at:      func(r *rec5) int64 { return r.Time },
			add:     func(r rec5) rec5 { r.Val++; return r },
			keep:    func(r rec5) bool { return r.Val&15 != 0 },
			key:     func(r rec5) int64 { return r.Key },
			val:     func(r rec5) int64 { return r.Val },
			addRef:  func(in, out *rec5) { *out = *in; out.Val++ },
			incRef:  func(r *rec5) { r.Val++ },
			keepRef: func(r *rec5) bool { return r.Val&15 != 0 },
			keyRef:  func(r *rec5) int64 { return r.Key },
			valRef:  func(r *rec5) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "6 integers", verbs[rec6]{
			make:    func(t, k, v int64) rec6 { return rec6{Time: t, Key: k, Val: v} },
			at:      func(r *rec6) int64 { return r.Time },
			add:     func(r rec6) rec6 { r.Val++; return r },
			keep:    func(r rec6) bool { return r.Val&15 != 0 },
			key:     func(r rec6) int64 { return r.Key },
			val:     func(r rec6) int64 { return r.Val },
			addRef:  func(in, out *rec6) { *out = *in; out.Val++ },
			incRef:  func(r *rec6) { r.Val++ },
			keepRef: func(r *rec6) bool { return r.Val&15 != 0 },
			keyRef:  func(r *rec6) int64 { return r.Key },
			valRef:  func(r *rec6) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "8 integers", verbs[rec8]{
			make:    func(t, k, v int64) rec8 { return rec8{Time: t, Key: k, Val: v} },
			at:      func(r *rec8) int64 { return r.Time },
			add:     func(r rec8) rec8 { r.Val++; return r },
			keep:    func(r rec8) bool { return r.Val&15 != 0 },
			key:     func(r rec8) int64 { return r.Key },
			val:     func(r rec8) int64 { return r.Val },
			addRef:  func(in, out *rec8) { *out = *in; out.Val++ },
			incRef:  func(r *rec8) { r.Val++ },
			keepRef: func(r *rec8) bool { return r.Val&15 != 0 },
			keyRef:  func(r *rec8) int64 { return r.Key },
			valRef:  func(r *rec8) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "3 integers, 1 string", verbs[str4]{
			make:    func(t, k, v int64) str4 { return str4{Time: t, Key: k, Val: v} },
			at:      func(r *str4) int64 { return r.Time },
			add:     func(r str4) str4 { r.Val++; return r },
			keep:    func(r str4) bool { return r.Val&15 != 0 },
			key:     func(r str4) int64 { return r.Key },
			val:     func(r str4) int64 { return r.Val },
			addRef:  func(in, out *str4) { *out = *in; out.Val++ },
			incRef:  func(r *str4) { r.Val++ },
			keepRef: func(r *str4) bool { return r.Val&15 != 0 },
			keyRef:  func(r *str4) int64 { return r.Key },
			valRef:  func(r *str4) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "4 integers, 2 strings", verbs[str6]{
			make:    func(t, k, v int64) str6 { return str6{Time: t, Key: k, Val: v} },
			at:      func(r *str6) int64 { return r.Time },
			add:     func(r str6) str6 { r.Val++; return r },
			keep:    func(r str6) bool { return r.Val&15 != 0 },
			key:     func(r str6) int64 { return r.Key },
			val:     func(r str6) int64 { return r.Val },
			addRef:  func(in, out *str6) { *out = *in; out.Val++ },
			incRef:  func(r *str6) { r.Val++ },
			keepRef: func(r *str6) bool { return r.Val&15 != 0 },
			keyRef:  func(r *str6) int64 { return r.Key },
			valRef:  func(r *str6) int64 { return r.Val },
		})
		valueOrPointer(b, &out, "4 integers, 4 strings", verbs[str8]{
			make:    func(t, k, v int64) str8 { return str8{Time: t, Key: k, Val: v} },
			at:      func(r *str8) int64 { return r.Time },
			add:     func(r str8) str8 { r.Val++; return r },
			keep:    func(r str8) bool { return r.Val&15 != 0 },
			key:     func(r str8) int64 { return r.Key },
			val:     func(r str8) int64 { return r.Val },
			addRef:  func(in, out *str8) { *out = *in; out.Val++ },
			incRef:  func(r *str8) { r.Val++ },
			keepRef: func(r *str8) bool { return r.Val&15 != 0 },
			keyRef:  func(r *str8) int64 { return r.Key },
			valRef:  func(r *str8) int64 { return r.Val },
		})
		say(out.String())
	}
}

const valueRecords = 2_000_000

// valueOrPointer adds the line of a record type to out.
func valueOrPointer[T any](b *testing.B, out *strings.Builder, name string, f verbs[T]) {
	b.Helper()
	events := make([]T, valueRecords)
	for i := range events {
		events[i] = f.make(origin+int64(i)*spacing, int64(i%1000), int64(i))
	}
	type panes = millrace.Stream[millrace.Pane[int64, int64]]
	end := func(k millrace.Keyed[int64, T], add func(*int64, *T)) panes {
		return k.Window(window.Tumbling(time.Minute)).Aggregate("sum", agg.Aggregator[T, int64, int64]{
			Add: add, Result: func(a *int64) int64 { return *a },
		})
	}
	forms := []func(millrace.Stream[T]) panes{
		func(in millrace.Stream[T]) panes {
			return end(in.Map(f.add).Filter(f.keep).KeyBy(f.key), func(a *int64, r *T) { *a += f.val(*r) })
		},
		func(in millrace.Stream[T]) panes {
			return end(in.UpdateRef(f.incRef).FilterRef(f.keepRef).KeyByRef(f.keyRef), func(a *int64, r *T) { *a += f.valRef(r) })
		},
		func(in millrace.Stream[T]) panes {
			return end(in.MapRef(f.addRef).FilterRef(f.keepRef).KeyByRef(f.keyRef), func(a *int64, r *T) { *a += f.valRef(r) })
		},
	}
	cpu := make([][]float64, len(forms))
	var want int64
	for round := range rounds {
		for i, form := range forms {
			job := millrace.NewJob("bench")
			sink := memory.NewSink[millrace.Pane[int64, int64]]()
			form(job.From("events", memory.Splits(events), millrace.EventNanosRef(f.at))).To("out", sink)
			before := cpuTime(b)
			if err := millrace.Run(b.Context(), job, millrace.Config{Parallelism: 1, Log: slog.New(slog.DiscardHandler)}); err != nil {
				b.Fatal(err)
			}
			cpu[i] = append(cpu[i], float64(cpuTime(b)-before)/valueRecords)
			var sum int64
			for _, p := range sink.Records() {
				sum += p.Value
			}
			if round == 0 && i == 0 {
				want = sum
			}
			if sum != want {
				b.Fatalf("%s: form %d sums to %d, the first to %d", name, i, sum, want)
			}
		}
	}
	v, u, m := median(cpu[0]), median(cpu[1]), median(cpu[2])
	fmt.Fprintf(out, "%-26s %6d %9.1f %9.1f %9.1f %7.2f %7.2f\n", name, reflect.TypeFor[T]().Size(), v, u, m, v/u, v/m)
}
