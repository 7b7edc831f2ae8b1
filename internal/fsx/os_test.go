package fsx

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const holdEnv = "FSX_TEST_HOLD"

// TestMain holds a lock instead of running tests when the environment names one: it is the other process of TestLockAcrossProcesses.
func TestMain(m *testing.M) {
	path := os.Getenv(holdEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := (OS{}).Lock(path); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("held\n")
	io.Copy(io.Discard, os.Stdin) // until it is killed
}

func TestLockAcrossProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatal(line, err)
	}
	if _, err := (OS{}).Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("two processes hold the lock: %v", err)
	}
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("the other process was not killed")
	}
	l, err := OS{}.Lock(path)
	if err != nil {
		t.Fatalf("the lock outlives its process: %v", err)
	}
	if _, err := (OS{}).Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("one process holds the lock twice: %v", err)
	}
	must(t, l.Close())
}

func TestMemLock(t *testing.T) {
	m := NewMem()
	l, err := m.Lock("/LOCK")
	must(t, err)
	if _, err := m.Lock("/LOCK"); !errors.Is(err, ErrLocked) {
		t.Errorf("held twice: %v", err)
	}
	must(t, l.Close())
	if l, err = m.Lock("/LOCK"); err != nil {
		t.Fatal(err)
	}
	must(t, l.Close())
	if err := l.Close(); err == nil {
		t.Error("released twice")
	}
}

func TestOSCreateIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := OS{}.Create(path)
	must(t, err)
	must(t, f.Close())
	if f, err := (OS{}).Create(path); !errors.Is(err, fs.ErrExist) || f != nil {
		t.Errorf("%v %v", f, err)
	}
	if f, err := (OS{}).Open(path + "x"); !errors.Is(err, fs.ErrNotExist) || f != nil {
		t.Errorf("%v %v", f, err)
	}
}

func TestInject(t *testing.T) {
	var ops []OpKind
	var fail OpKind
	var cause error
	f := Inject(NewMem(), func(op Op) error {
		ops = append(ops, op.Kind)
		if op.N != len(ops) {
			t.Errorf("operation %d has number %d", len(ops), op.N)
		}
		if op.Kind == fail {
			return cause
		}
		return nil
	})
	file, err := f.Create("/f")
	must(t, err)
	fail, cause = OpWrite, &Partial{Bytes: 3, Err: syscall.ENOSPC}
	if n, err := file.Write([]byte("abcdef")); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write: %d %v", n, err)
	}
	fail, cause = OpSync, syscall.EIO
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	fail = OpClose
	if err := file.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
	fail = ""
	if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a failed close must close: %v", err)
	}
	if b, err := readFile(f, "/f"); err != nil || string(b) != "abc" {
		t.Errorf("%q %v", b, err)
	}
	for kind, do := range map[OpKind]func() error{
		OpOpen:    func() error { _, err := f.Open("/f"); return err },
		OpCreate:  func() error { _, err := f.Create("/g"); return err },
		OpRename:  func() error { return f.Rename("/f", "/g") },
		OpRemove:  func() error { return f.Remove("/f") },
		OpMkdir:   func() error { return f.MkdirAll("/d") },
		OpReadDir: func() error { _, err := f.ReadDir("/"); return err },
		OpStat:    func() error { _, err := f.Stat("/f"); return err },
		OpSyncDir: func() error { return f.SyncDir("/") },
		OpLock:    func() error { _, err := f.Lock("/l"); return err },
	} {
		fail = kind
		if err := do(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	fail = ""
	if entries := names(f, "/"); len(entries) != 1 {
		t.Errorf("failed operations were done: %v", entries)
	}
}
