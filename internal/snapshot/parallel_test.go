package snapshot

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestTasksWriteAtTheSameTime finishes files of several tasks beside each other and then publishes them together.
func TestTasksWriteAtTheSameTime(t *testing.T) {
	s, err := NewMemory(testJob, nil, Compress())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Newest(); err != nil {
		t.Fatal(err)
	}
	const tasks, groups = 4, 8
	infos, models := make([]FileInfo, tasks), make([]model, tasks)
	t.Run("tasks", func(t *testing.T) {
		for task := range tasks {
			t.Run(fmt.Sprint(task), func(t *testing.T) {
				t.Parallel()
				models[task] = model{}
				w, err := s.CreateFile(1, task)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.CreateFile(1, task); err == nil {
					t.Error("two writers have one file")
				}
				if err := writeRandom(w, rand.New(rand.NewPCG(1, uint64(task))), 5, models[task], task*2, task*2+2); err != nil {
					t.Fatal(err)
				}
				if infos[task], err = w.Finish(); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
	m := &Manifest{Job: testJob, Epoch: 1, Term: s.Term(), Groups: groups}
	if err := Extend(nil, m, infos); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(m); err != nil {
		t.Fatal(err)
	}
	got, err := readModel(s, m)
	if err != nil {
		t.Fatal(err)
	}
	want := model{}
	for _, part := range models {
		maps.Copy(want, part)
	}
	if d := want.diff(got); d != "" {
		t.Error(d)
	}
}
