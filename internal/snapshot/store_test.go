package snapshot

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// unlocked is a file system whose locks hold nobody back, like one on a network where they were lost.
type unlocked struct{ fsx.FS }

func (unlocked) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func TestTwoStoresOnOneDirectory(t *testing.T) {
	fs := fsx.NewMem()
	j := mustJob(t, fs, 1, 1)
	_, err := OpenDir(fs, "/ck", testJob, nil)
	if !errors.Is(err, fsx.ErrLocked) {
		t.Fatalf("a second store has the directory: %v", err)
	}
	for _, want := range []string{testJob, "process ", "since 2027-01-15T08:00:00Z", "stop that one"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if err := j.store.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenDir(fs, "/ck", testJob, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Term() != 2 {
		t.Errorf("term %d, want 2", s.Term())
	}
}

func TestOlderRunIsFenced(t *testing.T) {
	fs := unlocked{fsx.NewMem()}
	old := mustJob(t, fs, 1, 2)
	now, notes, err := openJob(fs, 2, nil)
	if err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	before := files(t, fs, old.store.Dir())
	if err := old.epoch(); !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), "term 2") {
		t.Fatalf("the older run publishes: %v", err)
	}
	for path := range files(t, fs, old.store.Dir()) {
		if _, ok := before[path]; !ok && !strings.HasSuffix(path, dataExt) {
			t.Errorf("the older run has written %s", path)
		}
	}
	for range 2 {
		if err := now.epoch(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnotherJob(t *testing.T) {
	fs := fsx.NewMem()
	j := mustJob(t, fs, 1, 1)
	moved := map[string][]byte{}
	for path, content := range files(t, fs, j.store.Dir()) {
		moved[filepath.Join("/ck/other", filepath.Base(path))] = content
	}
	s, err := OpenDir(build(t, moved), "/ck", "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Newest(); !errors.Is(err, ErrOtherJob) || !strings.Contains(err.Error(), testJob) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("want both names: %v", err)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	fs := fsx.NewMem()
	j := mustJob(t, fs, 1, 2)
	all := files(t, fs, j.store.Dir())
	path := filepath.Join(j.store.Dir(), manifestName(2))
	raw := all[path]
	newer := []byte("millrace-manifest 3\n" + string(raw[len(manifestFirst):len(raw)-checksumLen]))
	all[path] = append(newer, checksumLine(newer)...)
	if _, _, err := openJob(build(t, all), 1, nil); err == nil || isDamaged(err) || !strings.Contains(err.Error(), "newer one") {
		t.Errorf("going back behind what a newer release wrote: %v", err)
	}
}

// TestNeverStartsEmpty takes away what can be taken away: only a directory that has had no checkpoint is new.
func TestNeverStartsEmpty(t *testing.T) {
	mem := fsx.NewMem()
	j := mustJob(t, mem, 1, 3)
	whole := files(t, mem, j.store.Dir())
	for name, gone := range map[string]func(string) bool{
		"manifests":           func(n string) bool { return strings.HasPrefix(n, manifestPrefix) },
		"manifests and TERM":  func(n string) bool { return strings.HasPrefix(n, manifestPrefix) || n == termName },
		"manifests and copy":  func(n string) bool { return strings.HasPrefix(n, manifestPrefix) || n == termName+copyExt },
		"data":                func(n string) bool { return strings.HasSuffix(n, dataExt) },
		"all but the TERM":    func(n string) bool { return n != termName },
		"all but one corrupt": func(n string) bool { return n != manifestName(3) },
	} {
		left := map[string][]byte{}
		for path, content := range whole {
			if !gone(filepath.Base(path)) {
				left[path] = content
			}
		}
		if name == "all but one corrupt" {
			for path := range left {
				left[path] = left[path][:100]
			}
		}
		k, notes, err := openJob(build(t, left), 1, nil)
		if !errors.Is(err, ErrNoCheckpoint) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s gone: %v %v", name, notes, err)
			continue
		}
		if err := k.epoch(); err == nil {
			t.Errorf("%s gone: and it publishes", name)
		}
		// Opening it once more must not make the loss forgotten.
		if err := k.store.Close(); err != nil {
			t.Fatal(err)
		}
		_, notes, err = openJob(k.store.fs, 1, nil)
		if !errors.Is(err, ErrNoCheckpoint) {
			t.Errorf("%s gone, second start: %v %v", name, notes, err)
		}
	}
	if k, notes, err := openJob(fsx.NewMem(), 1, nil); err != nil || len(notes) > 0 || k.prev != nil {
		t.Errorf("a new directory: %v %v", notes, err)
	}
}

func TestRetireKeepsTwoAndWhatTheyName(t *testing.T) {
	fs := fsx.NewMem()
	j := mustJob(t, fs, 3, 0)
	for n := range 9 {
		j.resets = 5
		if n == 7 { // all chains begin anew
			j.resets = 1
		}
		if err := j.epoch(); err != nil {
			t.Fatal(err)
		}
	}
	dir := j.store.Dir()
	w, err := j.store.CreateFile(10, 0) // being written
	if err != nil {
		t.Fatal(err)
	}
	late, err := j.store.CreateFile(9, 7) // of an epoch that went on without it, still being written
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.store.Retire(2); err != nil {
		t.Fatal(err)
	}
	want := []string{lockName, holdName, termName, termName + copyExt, fileID{10, 0, 1}.name(), fileID{9, 7, 1}.name()}
	for _, epoch := range []uint64{8, 9} {
		want = append(want, manifestName(epoch), manifestName(epoch)+copyExt)
		good, _, err := j.store.load(epoch, []string{manifestName(epoch)})
		if err != nil || len(good) != 1 {
			t.Fatal(err)
		}
		for _, f := range good[0].m.Files {
			want = append(want, f.Name)
		}
	}
	if slices.Contains(want, fileID{7, 0, 1}.name()) || !slices.Contains(want, fileID{8, 0, 1}.name()) {
		t.Fatalf("the chains do not begin at epoch 8: %q", want)
	}
	checkNames(t, fs, dir, want)
	if _, err := j.store.Retire(0); err == nil {
		t.Error("all checkpoints may be removed")
	}
	if err := errors.Join(w.Abort(), late.Abort()); err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(n string) bool { return n == (fileID{10, 0, 1}).name() || n == (fileID{9, 7, 1}).name() })
	checkNames(t, fs, dir, want)
}

func checkNames(t *testing.T, fs fsx.FS, dir string, want []string) {
	t.Helper()
	var got []string
	for path := range files(t, fs, dir) {
		got = append(got, filepath.Base(path))
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("files\n got %q\nwant %q", got, want)
	}
}

func TestCleanRemovesLeftovers(t *testing.T) {
	fs := fsx.NewMem()
	j := mustJob(t, fs, 3, 2)
	w, err := j.store.CreateFile(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	all := files(t, fs, j.store.Dir())
	var want []string
	for path := range all {
		if name := filepath.Base(path); name != (fileID{3, 1, 1}).name() {
			want = append(want, name)
		}
	}
	all[filepath.Join(j.store.Dir(), manifestName(3)+tmpExt)] = []byte("half")
	all[filepath.Join(j.store.Dir(), "manifest-7")] = []byte("not one of ours: stays")
	want = append(want, "manifest-7")
	after := build(t, all)
	k, notes, err := openJob(after, 3, nil)
	if err != nil || len(notes) > 0 || k.prev.Epoch != 2 {
		t.Fatal(notes, err)
	}
	removed, err := k.store.Clean()
	if err != nil || len(removed) != 2 {
		t.Error(removed, err)
	}
	checkNames(t, after, j.store.Dir(), want)
}

// TestTwoManifestsOfOneNumber puts a manifest and a copy side by side that are both whole and not the same.
func TestTwoManifestsOfOneNumber(t *testing.T) {
	make := func(fs fsx.FS, seed uint64) (map[string][]byte, *job) {
		j := mustJob(t, fs, seed, 2)
		return files(t, fs, j.store.Dir()), j
	}
	one, j := make(fsx.NewMem(), 1)
	two, _ := make(fsx.NewMem(), 2)
	twin := filepath.Join(j.store.Dir(), manifestName(2)+copyExt)
	one[twin] = two[twin]
	k, notes, err := openJob(build(t, one), 1, nil)
	if err != nil || k.prev.Epoch != 2 || len(notes) == 0 {
		t.Fatalf("the files tell which one is true: %v %v", notes, err)
	}
	if d := j.state.diff(k.state); d != "" {
		t.Error(d)
	}
	m, err := DecodeManifest("m", one[filepath.Join(j.store.Dir(), manifestName(2))])
	if err != nil {
		t.Fatal(err)
	}
	m.Operators = nil
	if one[twin], err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openJob(build(t, one), 1, nil); !isDamaged(err) || !strings.Contains(err.Error(), "remove the one that is wrong") {
		t.Errorf("nothing tells which one is true: %v", err)
	}
}

func TestPublishRefuses(t *testing.T) {
	s, err := NewMemory(testJob, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &Manifest{Job: testJob, Epoch: 1, Term: s.Term(), Groups: 4}
	if err := s.Publish(m); err == nil || !strings.Contains(err.Error(), "call Newest first") {
		t.Errorf("published without a look at what is there: %v", err)
	}
	if _, _, err := s.Newest(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Manifest){
		"another job":        func(m *Manifest) { m.Job = "x" },
		"another term":       func(m *Manifest) { m.Term++ },
		"epoch 0":            func(m *Manifest) { m.Epoch = 0 },
		"an unfinished file": func(m *Manifest) { m.Files = []FileInfo{{Name: fileID{1, 0, 1}.name(), Epoch: 1, Term: 1}} },
		"a broken chain":     func(m *Manifest) { m.Chains = []Chain{{Runs: []Run{{0, 1, []int{0}}}}} },
		"text not UTF-8":     func(m *Manifest) { m.Fingerprint = "\xff" },
		"a key not UTF-8":    func(m *Manifest) { m.Operators = []OperatorState{{Counters: map[string]int64{"\xff": 1}}} },
	} {
		bad := *m
		change(&bad)
		if err := s.Publish(&bad); err == nil {
			t.Errorf("published: %s", what)
		}
	}
	if err := s.Publish(m); err != nil {
		t.Error(err)
	}
	if err := s.Publish(m); err == nil {
		t.Error("published twice")
	}
}

// TestMemoryRestarts takes a store through failures within a process.
func TestMemoryRestarts(t *testing.T) {
	fail := false
	s, err := NewMemory(testJob, func(point string) error {
		if fail && point == PointRename {
			return errCrash
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	j := mustJob(t, fsx.NewMem(), 1, 0)
	j.store = s
	if _, _, err := s.Newest(); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		fail = i%2 == 1
		if err := j.epoch(); (err != nil) != fail {
			t.Fatal(err)
		}
		fail = false
		j.lookUp(t, fmt.Sprint("epoch ", i))
	}
	if len(files(t, s.fs, s.Dir())) > 40 {
		t.Error("old files stay in memory")
	}
}

func TestEscapeJob(t *testing.T) {
	seen := map[string]string{}
	for _, job := range []string{"a", "A b", "a/b", "a%2Fb", "..", ".", ".hidden", "ü", "a\x00", "a\\b", "-x"} {
		name, err := escapeJob(job)
		if err != nil {
			t.Fatal(err)
		}
		if seen[name] != "" || filepath.Base(name) != name || name[0] == '.' {
			t.Errorf("%q becomes %q (also %q)", job, name, seen[name])
		}
		seen[name] = job
	}
	for _, job := range []string{"", strings.Repeat("ü", 40)} {
		if _, err := escapeJob(job); err == nil {
			t.Errorf("%q is taken", job)
		}
	}
}
