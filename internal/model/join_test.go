package model_test

import (
	"fmt"
	"slices"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/window"

	"pgregory.net/rapid"
)

// join is what a join stage does: it joins a stream with itself, or with a filtered and mapped copy.
type join struct {
	Lower, Upper int64
	Left, Right  bool
	Self         bool
}

// drawJoin draws a join whose intervals are short: random streams have many records of a key at a time.
func drawJoin(t *rapid.T, tick int64) join {
	var j join
	j.Lower = rapid.Int64Range(-8, 6).Draw(t, "lower") * tick
	j.Upper = j.Lower + rapid.Int64Range(0, 8).Draw(t, "width")*tick
	if tick > 2 {
		j.Upper += rapid.SampledFrom([]int64{0, 0, 1}).Draw(t, "edge")
	}
	j.Left, j.Right = rapid.Bool().Draw(t, "left"), rapid.Bool().Draw(t, "right")
	j.Self = rapid.Bool().Draw(t, "self")
	return j
}

// result makes a record of a pair, or of a record without partner, whose time is its event time.
func (j join) result(l, r *rec) rec {
	switch {
	case r == nil:
		return rec{At: l.At + max(0, j.Upper), V: l.V, K: l.K, Tag: fmt.Sprintf("<%s | none>", l.text())}
	case l == nil:
		return rec{At: r.At + max(0, -j.Lower), V: r.V, K: r.K, Tag: fmt.Sprintf("<none | %s>", r.text())}
	}
	return rec{At: max(l.At, r.At), V: l.V + r.V, K: r.K, Tag: fmt.Sprintf("<%s | %s>", l.text(), r.text())}
}

// otherSide is the right side of a join.
func otherSide[K comparable](s stage, left millrace.Keyed[K, rec], in millrace.Stream[rec], k keys[K]) millrace.Keyed[K, rec] {
	if s.Join.Self {
		return left
	}
	return in.Filter(keep).Map(twice).KeyBy(k.engine)
}

// otherModel is the right side of a join by the model.
func otherModel(s stage, in []model.Item[rec]) []rec {
	if s.Join.Self {
		return model.Records(in)
	}
	var right []rec
	for _, r := range model.Records(in) {
		if keep(r) {
			right = append(right, twice(r))
		}
	}
	return right
}

func joinStage[K comparable](
	s stage, left millrace.Keyed[K, rec], in millrace.Stream[rec], id string, out sinks, k keys[K],
) millrace.Stream[rec] {
	right := otherSide(s, left, in, k)
	j := left.IntervalJoin(right, duration(s.Join.Lower), duration(s.Join.Upper))
	var next millrace.Stream[rec]
	switch {
	case s.Join.Left && s.Join.Right:
		next = j.Full(id, func(l, r rec, hasLeft, hasRight bool) rec {
			switch {
			case !hasLeft:
				return s.Join.result(nil, &r)
			case !hasRight:
				return s.Join.result(&l, nil)
			}
			return s.Join.result(&l, &r)
		})
	case s.Join.Left:
		next = j.Left(id, func(l, r rec, ok bool) rec {
			if !ok {
				return s.Join.result(&l, nil)
			}
			return s.Join.result(&l, &r)
		})
	case s.Join.Right:
		next = j.Right(id, func(l, r rec, ok bool) rec {
			if !ok {
				return s.Join.result(nil, &r)
			}
			return s.Join.result(&l, &r)
		})
	default:
		next = j.Inner(id, func(l, r rec) rec { return s.Join.result(&l, &r) })
	}
	out.take(j.LateLeft(), "late-left-"+id)
	out.take(j.LateRight(), "late-right-"+id)
	return next
}

// versionOf makes a record of a record and the version of its key at its time.
func versionOf(l, v *rec) rec {
	if v == nil {
		return rec{At: l.At, V: l.V, K: l.K, Tag: fmt.Sprintf("<%s | none>", l.text())}
	}
	return rec{At: l.At, V: l.V + v.V, K: l.K, Tag: fmt.Sprintf("<%s | %s>", l.text(), v.text())}
}

func temporalStage[K comparable](left millrace.Keyed[K, rec], id string, out sinks) millrace.Stream[rec] {
	j := left.TemporalJoin(left)
	next := j.Lookup(id, func(l, v rec, ok bool) rec {
		if !ok {
			return versionOf(&l, nil)
		}
		return versionOf(&l, &v)
	})
	out.take(j.LateLeft(), "late-left-"+id)
	out.take(j.LateTable(), "late-right-"+id)
	return next
}

// joinModel joins streams of which nothing is late: between their records there is no watermark.
func joinModel[K comparable](s stage, in []model.Item[rec], id string, out *wanted, k keys[K]) []model.Item[rec] {
	var both []model.Item[model.Side[rec, rec]]
	for _, r := range model.Records(in) {
		both = append(both, model.Item[model.Side[rec, rec]]{Value: model.Side[rec, rec]{Left: &r}, Time: r.At})
	}
	for _, r := range otherModel(s, in) {
		both = append(both, model.Item[model.Side[rec, rec]]{Value: model.Side[rec, rec]{Right: &r}, Time: r.At})
	}
	both = append(both, model.Item[model.Side[rec, rec]]{Time: model.End, Mark: true})
	o := model.Join[K, rec, rec, rec]{
		Lower: s.Join.Lower, Upper: s.Join.Upper, LeftKey: k.model, RightKey: k.model, Compare: k.compare,
		LeftOuter: s.Join.Left, RightOuter: s.Join.Right, Out: s.Join.result,
	}.Run(both)
	out.take(o.LateLeft, "late-left-"+id)
	out.take(o.LateRight, "late-right-"+id)
	return o.Results
}

// groupRec makes a record of the records of a window and key.
func (s stage) groupRec(key string, start, end int64, left, right []rec) []rec {
	if s.Join.Left { // as a co-group: one record of all
		tag := fmt.Sprintf("<%s [%d,%d) %s | %s>", key, start, end, texts(left), texts(right))
		return []rec{{At: end - 1, V: int32(len(left)), K: uint8(len(right) % 8), Tag: tag}}
	}
	var out []rec
	for _, l := range left {
		for _, r := range right {
			out = append(out, rec{At: end - 1, V: l.V, K: r.K, Tag: fmt.Sprintf("<%s | %s>", l.text(), r.text())})
		}
	}
	return out
}

func groupStage[K comparable](
	s stage, left millrace.Keyed[K, rec], in millrace.Stream[rec], id string, out sinks, k keys[K],
) millrace.Stream[rec] {
	j := left.WindowJoin(otherSide(s, left, in, k), s.Win.assigner())
	next := j.CoGroup(id, func(w millrace.JoinWindow[K], left, right []rec, emit func(rec)) error {
		for _, r := range s.groupRec(k.text(w.Key), w.Start.UnixNano(), w.End.UnixNano(), left, right) {
			emit(r)
		}
		return nil
	})
	out.take(j.LateLeft(), "late-left-"+id)
	out.take(j.LateRight(), "late-right-"+id)
	return next
}

// groupModel is a window over both sides, of which nothing is late.
func groupModel[K comparable](s stage, in []model.Item[rec], id string, out *wanted, k keys[K]) []model.Item[rec] {
	type sided struct {
		rec
		right bool
	}
	var both []model.Item[sided]
	for _, r := range model.Records(in) {
		both = append(both, model.Item[sided]{Value: sided{r, false}, Time: r.At})
	}
	for _, r := range otherModel(s, in) {
		both = append(both, model.Item[sided]{Value: sided{r, true}, Time: r.At})
	}
	both = append(both, model.Item[sided]{Time: model.End, Mark: true})
	w := modelWindows(s.Win, model.Windows[K, sided, []sided]{
		Key: func(r sided) K { return k.model(r.rec) }, Compare: k.compare, Result: slices.Clone[[]sided],
	})
	out.sinks["late-left-"+id], out.sinks["late-right-"+id] = []string{}, []string{}
	return model.FlatMap(w.Run(both).Panes, func(p window.Pane[K, []sided]) []rec {
		var left, right []rec
		for _, r := range p.Value {
			if r.right {
				right = append(right, r.rec)
			} else {
				left = append(left, r.rec)
			}
		}
		slices.SortFunc(left, byField)
		slices.SortFunc(right, byField)
		return s.groupRec(k.text(p.Key), p.Start.UnixNano(), p.End.UnixNano(), left, right)
	})
}
