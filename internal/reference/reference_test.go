package reference

import (
	"errors"
	"testing"
)

func TestQueries(t *testing.T) {
	data, err := FindData()
	if errors.Is(err, ErrNoData) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSuite(data, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range Queries() {
		for _, w := range Ways() {
			t.Run(q.Name+"/"+string(w), func(t *testing.T) {
				r, err := s.Run(t.Context(), q, w)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d rows in %v %v", r.Rows, r.Took, r.Kills)
			})
		}
	}
}
