package formats_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/commands"
	"github.com/millrace-stream/millrace/internal/fsx"
)

// inspected runs the command inspect.
func inspected(t *testing.T, files fsx.FS, args ...string) (string, error) {
	t.Helper()
	cmd := commands.Inspect(files, "", "")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// wantProfiles is what a plain loop over the orders says about the states of profiles: for each state, the value by key.
func wantProfiles(n int) map[string]map[string]string {
	states := map[string]map[string]string{"state.one": {}, "state.last": {}, "state.kinds": {}, "state.sum": {}, "timer": {}}
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	ones, lasts, sums := map[string]*profile{}, map[string][]string{}, map[string]int64{}
	type kind struct {
		key  string
		kind place
	}
	type stamped struct {
		At    int64 `json:"at"`
		Value int64 `json:"value"`
	}
	kinds := map[kind]stamped{}
	for i := range n {
		o := orderNumber(i)
		one := ones[o.Customer]
		if one == nil {
			one = &profile{First: o.At, ByKind: map[string]uint16{}}
			ones[o.Customer] = one
		}
		one.Mean = (one.Mean*float64(one.Orders) + float64(o.Cents)) / float64(one.Orders+1)
		one.Orders++
		one.Last = &o
		one.Tags = append(one.Tags, fmt.Sprint(o.N%5))
		one.ByKind[fmt.Sprint(o.N%3)]++
		at := place{int16(o.N % 4), o.N%2 == 0}
		one.Corners[o.N%2] = at
		sums[o.Customer] += o.Cents
		lasts[o.Customer] = append(lasts[o.Customer], fmt.Sprint(o.N))
		k := kinds[kind{o.Customer, at}]
		if o.At.UnixNano()-k.At > 42e9 { // the watermark is 2 s behind
			k.Value = 0
		}
		kinds[kind{o.Customer, at}] = stamped{o.At.UnixNano(), k.Value + 1}
		states["timer"][fmt.Sprintf(`{"key":%q,"name":"report"}`, o.Customer)] = fmt.Sprint(o.At.UnixNano() + 17e9)
	}
	newest := orderNumber(n - 1).At.UnixNano()
	for c, one := range ones {
		states["state.one"][fmt.Sprintf("%q", c)] = text(one)
		states["state.sum"][fmt.Sprintf("%q", c)] = fmt.Sprintf(`{"kind":[],"lo":%d,"hi":%d}`, uint64(sums[c]), uint64(sums[c]>>63))
		for i, s := range slices.Backward(lasts[c]) {
			if i < len(lasts[c])-3 {
				break
			}
			states["state.last"][fmt.Sprintf(`{"key":%q,"entry":%d}`, c, i)] = text(s)
		}
	}
	for k, v := range kinds {
		if v.At > newest-2e9-40e9 { // older ones have expired
			states["state.kinds"][fmt.Sprintf(`{"key":%q,"entry":%s}`, k.key, text(k.kind))] = text(v)
		}
	}
	return states
}

// TestExport compares exported state with a plain loop over the orders.
func TestExport(t *testing.T) {
	want := wantProfiles(savedAt)
	for name, dir := range saved(t) {
		for _, from := range []string{"savepoint", "checkpoints"} {
			t.Run(name+"/"+from, func(t *testing.T) {
				got := map[string]map[string]string{}
				text, err := inspected(t, fsx.OS{}, filepath.Join(dir, from), "--export", "--operator", "profiles")
				if err != nil {
					t.Fatal(err)
				}
				for l := range strings.Lines(text) {
					var x struct {
						Operator, State string
						Key, Value      json.RawMessage
					}
					if err := json.Unmarshal([]byte(l), &x); err != nil {
						t.Fatalf("%s: %v", l, err)
					}
					if got[x.State] == nil {
						got[x.State] = map[string]string{}
					}
					if _, twice := got[x.State][string(x.Key)]; twice {
						t.Errorf("%s of %s comes twice", x.Key, x.State)
					}
					got[x.State][string(x.Key)] = string(x.Value)
				}
				for state, entries := range want {
					if state == "state.kinds" { // what has expired may still be there
						maps.DeleteFunc(got[state], func(k, _ string) bool { return entries[k] == "" })
					}
					for k, v := range entries {
						if got[state][k] != v {
							t.Errorf("%s has of %s\n%s\nwant\n%s", state, k, got[state][k], v)
						}
					}
					if len(got[state]) != len(entries) {
						t.Errorf("%s has %d entries, want %d", state, len(got[state]), len(entries))
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d states, want %d", len(got), len(want))
				}
			})
		}
	}
}

// TestExportOfOneKey asks for a key in different ways.
func TestExportOfOneKey(t *testing.T) {
	dir := filepath.Join("testdata", "v1", "savepoint")
	var texts []string
	for _, key := range []string{"c3", `"c3"`} {
		text, err := inspected(t, fsx.OS{}, dir, "--export", "--operator", "profiles", "--state", "state.last", "--key", key)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	const want = `{"operator":"profiles","state":"state.last","group":0,"span":0,"key":{"key":"c3","entry":9},"value":"123"}
{"operator":"profiles","state":"state.last","group":0,"span":0,"key":{"key":"c3","entry":10},"value":"136"}
{"operator":"profiles","state":"state.last","group":0,"span":0,"key":{"key":"c3","entry":11},"value":"149"}
`
	if texts[0] != want || texts[1] != want {
		t.Errorf("got\n%s\nand\n%s\nwant\n%s", texts[0], texts[1], want)
	}
	text, err := inspected(t, fsx.OS{}, dir, "--export", "--operator", "window", "--key", `{"Row": 4, "Side": false}`)
	if err != nil || strings.Count(text, "\n") != 1 || !strings.Contains(text, `"N":154`) {
		t.Errorf("a key of two fields gives %q, %v", text, err)
	}
}

// TestInspect looks at what the report says, against the job.
func TestInspect(t *testing.T) {
	for name, dir := range saved(t) {
		t.Run(name, func(t *testing.T) {
			text, err := inspected(t, fsx.OS{}, filepath.Join(dir, "savepoint"), "--json", "--largest", "2")
			if err != nil {
				t.Fatal(err)
			}
			var r struct {
				Job         string
				Savepoint   bool
				Parallelism int
				KeyGroups   int `json:"key_groups"`
				Operators   []struct {
					ID, Kind, Watermark string
					Counters            map[string]int64
					Splits              []struct {
						ID      string
						Records int64
					}
					States []struct {
						Name    string
						Entries int
						Largest []struct{ Bytes int }
					}
				}
			}
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				t.Fatal(err)
			}
			if r.Job != "formats" || !r.Savepoint || r.Parallelism != 3 || r.KeyGroups != keyGroups {
				t.Errorf("it says %+v", r)
			}
			o := r.Operators[0]
			if o.ID != "orders" || o.Watermark != "2023-11-14T22:15:57.000000158Z" || len(o.Splits) != 1 || o.Splits[0].Records != savedAt || o.Counters["in"] != savedAt {
				t.Errorf("the source is %+v", o)
			}
			o = r.Operators[1]
			if o.ID != "profiles" || o.Kind != "process" || o.Watermark != "2023-11-14T22:15:57.000000158Z" {
				t.Errorf("the second operator is %+v", o)
			}
			for _, s := range o.States {
				if n := len(wantProfiles(savedAt)[s.Name]); s.Entries != n && s.Name != "state.kinds" || len(s.Largest) != 2 || s.Largest[0].Bytes < s.Largest[1].Bytes {
					t.Errorf("state %+v, want %d entries", s, n)
				}
			}
			if text, err = inspected(t, fsx.OS{}, filepath.Join(dir, "checkpoints")); err != nil ||
				!strings.Contains(text, "\n  state state.one: 13 entries, keys 55 B, values 1311 B") || !strings.Contains(text, "\n  split script at ") {
				t.Errorf("as text, %v:\n%s", err, text)
			}
		})
	}
}

// TestInspectMistakes has what can be asked wrongly.
func TestInspectMistakes(t *testing.T) {
	v1 := filepath.Join("testdata", "v1")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "inspect: name the directory of a checkpoint or savepoint"},
		{[]string{"nowhere"}, "inspect: snapshot: look into nowhere: open nowhere: no such file or directory"},
		{[]string{"testdata"}, "inspect: snapshot: look into testdata: no usable checkpoint"},
		{[]string{filepath.Join(v1, "savepoint"), "--epoch", "7"}, "inspect: snapshot: look into testdata/v1/savepoint: the savepoint is of epoch 6, not 7"},
		{[]string{filepath.Join(v1, "checkpoints"), "--epoch", "2"}, "inspect: snapshot: look into testdata/v1/checkpoints: there is no checkpoint of epoch 2"},
		{
			[]string{filepath.Join(v1, "checkpoints"), "--job", "other"},
			"inspect: snapshot: look into testdata/v1/checkpoints: snapshot: list testdata/v1/checkpoints/other: open testdata/v1/checkpoints/other: no such file or directory",
		},
		{[]string{v1}, "inspect: snapshot: look into testdata/v1: there are several jobs (checkpoints, savepoint): name one"},
		{[]string{filepath.Join(v1, "savepoint"), "--key", "x"}, "inspect: --operator, --state and --key choose what --export prints: give --export too"},
		{[]string{filepath.Join(v1, "savepoint"), "--largest", "-1"}, "inspect: --largest -1: it must not be negative"},
		{
			[]string{filepath.Join(v1, "savepoint"), "--export", "--operator", "window", "--state", "x"},
			`inspect: checkpoint 6 has no entries of operator "window", state "x": there is counted/triggered, firsts/contents, firsts/seen, pairs/left, pairs/right, ` +
				`profiles/state.kinds, profiles/state.last, profiles/state.one, profiles/state.sum, profiles/timer, session/session, sorted/held, window/window`,
		},
	} {
		if _, err := inspected(t, fsx.OS{}, tt.args...); err == nil || err.Error() != tt.want {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.args, err, tt.want)
		}
	}
}

// vanishing takes files away when they are opened, as a job does that removes an old checkpoint while it is read.
type vanishing struct {
	fsx.OS
	left *int
}

func (v vanishing) Open(path string) (fsx.File, error) {
	if strings.HasSuffix(path, ".mrs") && *v.left > 0 {
		*v.left--
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return v.OS.Open(path)
}

// TestInspectWhileTheJobRuns looks again when the checkpoint is gone, and gives up when that does not end.
func TestInspectWhileTheJobRuns(t *testing.T) {
	dir := filepath.Join("testdata", "v1", "checkpoints")
	want, err := inspected(t, fsx.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	left := 3
	if got, err := inspected(t, vanishing{left: &left}, dir); err != nil || got != want || left != 0 {
		t.Errorf("%v, %d left:\n%s", err, left, got)
	}
	left = 100
	if _, err := inspected(t, vanishing{left: &left}, dir); !errors.Is(err, fs.ErrNotExist) || left != 95 {
		t.Errorf("%v, %d left", err, left)
	}
	left = 1
	if _, err := inspected(t, vanishing{left: &left}, filepath.Join("testdata", "v1", "savepoint")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a savepoint, which nobody removes: %v", err)
	}
}
