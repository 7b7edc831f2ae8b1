package cold

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func mustPut(t *testing.T, s *Store, from, to int, value string) {
	t.Helper()
	b := s.Batch()
	for i := from; i < to; i++ {
		if err := b.Set(key(i), []byte(value)); err != nil {
			t.Fatal(err)
		}
		if b.Full() {
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(b.Commit(), b.Close()); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, it *Iter, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var sb strings.Builder
	for it.Next() {
		fmt.Fprintf(&sb, "%d=%s ", binary.BigEndian.Uint32(it.Key()), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return sb.String()
}

func TestStore(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s, err := Open(Options{Dir: dir, Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, 0, 6, "a")
		v := s.View()
		mustPut(t, s, 4, 8, "b")
		if err := errors.Join(s.Delete(key(0)), s.DeleteRange(key(2), key(4))); err != nil {
			t.Fatal(err)
		}
		it, err := s.Iter(key(0), key(7))
		if got, want := list(t, it, err), "1=a 4=b 5=b 6=b "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		it, err = v.Iter(key(0), key(100))
		if got, want := list(t, it, err), "0=a 1=a 2=a 3=a 4=a 5=a "; got != want {
			t.Errorf("view: got %q, want %q", got, want)
		}
		for i, want := range []string{"-", "a", "-", "-", "b", "b", "b", "b", "-"} {
			got, found, err := s.Get(nil, key(i))
			if err != nil || found != (want != "-") || found && string(got) != want {
				t.Errorf("get %d: %q %v %v, want %s", i, got, found, err, want)
			}
		}
		if got, found, err := v.Get([]byte("x"), key(0)); string(got) != "xa" || !found || err != nil {
			t.Errorf("view get: %q %v %v", got, found, err)
		}
		if first, second := s.Number(), s.Number(); first == second {
			t.Errorf("Number repeats %d", first)
		}
		if err := s.Close(); err != nil { // the view is open
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoreWritesFiles writes more than fits into memory, and leaves nothing behind.
func TestStoreWritesFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "000007.sst"), []byte("left over"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir, Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.sst")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := Open(Options{Dir: dir, Memory: 1}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	mustPut(t, s, 0, 100_000, strings.Repeat("x", 30))
	if got := s.Stats(); got.Disk < 100_000 || got.Memory <= 0 {
		t.Errorf("stats: %+v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) < 3 {
		t.Errorf("files: %v", left)
	}
	n := 0
	it, err := s.Iter(key(0), key(1<<30))
	if err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		n++
	}
	if err := errors.Join(it.Close(), s.Close()); err != nil || n != 100_000 {
		t.Fatal(n, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.sst")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestStoreFails checks that a failing disk gives an error, and neither waits for ever nor ends the process.
func TestStoreFails(t *testing.T) {
	for _, c := range []struct {
		op   string
		err  error
		want string
	}{
		{"create", syscall.ENOSPC, "no space left on device (the disk is full: give state another directory, or more memory)"},
		{"write", syscall.ENOSPC, "the disk is full"},
		{"write", syscall.EIO, "input/output error"},
		{"read", syscall.EIO, "input/output error"},
	} {
		t.Run(c.op+" "+c.err.Error(), func(t *testing.T) {
			var hits atomic.Int64
			s, err := Open(Options{Memory: 1, Fault: func(op, file string) error {
				if op == c.op && strings.HasSuffix(file, ".sst") && hits.Add(1) > 5 {
					return c.err
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			err = fill(s)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "state on disk in ") {
				t.Errorf("error: %v", err)
			}
			if hits.Load() < 6 {
				t.Errorf("%d faults", hits.Load()-5)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// fill writes and reads until something fails.
func fill(s *Store) error {
	b := s.Batch()
	defer b.Close()
	for i := range 1_000_000 {
		if err := b.Set(key(i*7919%1_000_003), make([]byte, 40)); err != nil {
			return err
		}
		if !b.Full() {
			continue
		}
		if err := b.Commit(); err != nil {
			return err
		}
		if _, _, err := s.Get(nil, key(i/2*7919%1_000_003)); err != nil {
			return err
		}
	}
	return nil
}
