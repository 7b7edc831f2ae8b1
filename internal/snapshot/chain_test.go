package snapshot

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func info(epoch uint64, task int, contents ...StateGroups) FileInfo {
	return FileInfo{Name: fileID{epoch, task, 1}.name(), Epoch: epoch, Term: 1, Task: task, Contents: contents}
}

func TestExtend(t *testing.T) {
	one, two, three := &Manifest{Epoch: 1, Groups: 4}, &Manifest{Epoch: 2, Groups: 4}, &Manifest{Epoch: 3, Groups: 4}
	a1 := info(1, 0, StateGroups{Operator: "a", Groups: []int{0, 1}, Bytes: 200})
	b1 := info(1, 1, StateGroups{Operator: "a", Groups: []int{2, 3}, Bytes: 400}, StateGroups{Operator: "b", Groups: []int{3}, Bytes: 7})
	a2 := info(2, 0, StateGroups{Operator: "a", Groups: []int{0, 1, 2}, Resets: []int{1}, Bytes: 30})
	a3 := info(3, 0, StateGroups{Operator: "a", Groups: []int{0, 2, 3}, Resets: []int{0, 2, 3}}, StateGroups{Operator: "b", Groups: []int{3}, Resets: []int{3}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(Extend(nil, one, []FileInfo{a1, b1}))
	must(Extend(one, two, []FileInfo{a2, info(2, 1)}))
	wantFiles := []FileInfo{a1, b1, a2}
	want := []Chain{
		{Operator: "a", Runs: []Run{{0, 1, []int{0, 2}}, {1, 2, []int{2}}, {2, 3, []int{1, 2}}, {3, 4, []int{1}}}},
		{Operator: "b", Runs: []Run{{3, 4, []int{1}}}},
	}
	if !reflect.DeepEqual(two.Files, wantFiles) || !reflect.DeepEqual(two.Chains, want) {
		t.Errorf("epoch 2: %+v\n%+v", two.Files, two.Chains)
	}
	if got := two.ChainLength("a", "", 2); got != (Length{Files: 2, Base: 200, Since: 10}) {
		t.Errorf("length of group 2: %+v", got)
	}
	if got := two.ChainLength("b", "", 0); got != (Length{}) {
		t.Errorf("length without state: %+v", got)
	}
	must(Extend(two, three, []FileInfo{a3}))
	if !reflect.DeepEqual(three.Files, []FileInfo{a2, a3}) {
		t.Errorf("files that nobody needs stay: %+v", three.Files)
	}
	if !reflect.DeepEqual(two.Chains, want) {
		t.Error("the manifest before was changed")
	}
	for name, err := range map[string]error{
		"same group twice": Extend(one, &Manifest{Epoch: 2, Groups: 4}, []FileInfo{a2, info(2, 1, StateGroups{Operator: "a", Groups: []int{2}})}),
		"another epoch":    Extend(one, &Manifest{Epoch: 2, Groups: 4}, []FileInfo{a3}),
		"not later":        Extend(two, &Manifest{Epoch: 2, Groups: 4}, nil),
		"other groups":     Extend(one, &Manifest{Epoch: 2, Groups: 8}, nil),
		"no groups":        Extend(nil, &Manifest{Epoch: 2}, nil),
		"group too high":   Extend(nil, &Manifest{Epoch: 2, Groups: 2}, []FileInfo{a2}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestGroupsAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var groups []int
		for g := range 60 {
			if rapid.IntRange(0, 2).Draw(t, "in") > 0 {
				groups = append(groups, g)
			}
		}
		got, err := parseGroups(formatGroups(groups), 60)
		if err != nil || !reflect.DeepEqual(got, groups) {
			t.Fatalf("%v becomes %q becomes %v (%v)", groups, formatGroups(groups), got, err)
		}
	})
	for _, bad := range []string{"1 1", "2 1", "3-2", "-1", "a", "1-", " ", "60", "0-60", "99999999999999999999", "1-3 3"} {
		if got, err := parseGroups(bad, 60); err == nil {
			t.Errorf("%q becomes %v", bad, got)
		}
	}
}
