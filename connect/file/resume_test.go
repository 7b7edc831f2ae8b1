package file_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
)

func pack(t testing.TB, kind, content string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch kind {
	case "plain":
		return content
	case "gzip": // Two members, as from cat of two files.
		half := len(content) / 2
		return member(t, content[:half]) + member(t, content[half:])
	case "zstd":
		var err error
		if w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func member(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBrokenCompression(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "line %d %x\n", i, i*i*7919)
	}
	for _, kind := range []string{"gzip", "zstd"} {
		whole := pack(t, kind, text.String())
		flipped := []byte(whole)
		flipped[len(flipped)/2] ^= 0x55
		for name, content := range map[string]string{"cut": whole[:len(whole)*2/3], "flipped": string(flipped)} {
			got, _, err := readAll(file.Lines(put(t, "x", content)), 1000)
			mention(t, err, "broken "+kind, "near byte", fmt.Sprintf("%d records were read", len(got)))
			// gzip has its only checksum at the end: what comes before a flipped bit is found may be wrong already.
			if name == "cut" && (len(got) == 0 || !strings.HasPrefix(text.String(), strings.Join(got, "\n")+"\n")) {
				t.Errorf("%s %s: the %d records before the damage are not those of the file", kind, name, len(got))
			}
		}
	}
	_, _, err := readAll(file.Lines(put(t, "x", "\x1f\x8bnonsense")), 10)
	mention(t, err, "broken gzip")
}

// TestResumeAtEveryRecord reads a file through and again from each position: the records must be the same.
func TestResumeAtEveryRecord(t *testing.T) {
	dir := t.TempDir()
	files := 0
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom([]string{"plain", "gzip", "zstd"}).Draw(rt, "compression")
		values := rapid.SliceOfN(rapid.StringMatching(`[a-z ,"\n\r]{0,40}`), 0, 30).Draw(rt, "values")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "line end")
		content := rapid.SampledFrom([]string{"", "\ufeff"}).Draw(rt, "mark") + "n,text,other" + end
		for i, v := range values {
			content += fmt.Sprintf("%d,\"%s\",x%s", i, strings.ReplaceAll(v, `"`, `""`), end)
		}
		if rapid.Bool().Draw(rt, "no last line end") {
			content = strings.TrimSuffix(content, end)
		}
		files++
		name := fmt.Sprintf("f%d", files)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(pack(t, kind, content)), 0o600); err != nil {
			rt.Fatal(err)
		}
		type rec struct {
			N    int
			Text string
		}
		f := file.CSV[rec](filepath.Join(dir, name))
		for from := 0; from <= len(values); from++ {
			got, err := resume(f, name, from)
			if err != nil {
				rt.Fatal(err)
			}
			if len(got) != len(values) {
				rt.Fatalf("from %d: %d records, want %d", from, len(got), len(values))
			}
			for i, r := range got {
				if r.N != i || r.Text != values[i] {
					rt.Fatalf("from %d: record %d is %+v, want %q", from, i, r, values[i])
				}
			}
		}
	})
}

// resume reads n records with one reader and the rest with another that starts at the first one's position.
func resume[T any](f file.Files[T], id string, n int) ([]T, error) {
	ctx := context.Background()
	first, err := f.Open(ctx, connect.Split{ID: id}, nil)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	all := make([]T, 0, n)
	for len(all) < n {
		got, err := first.Read(ctx, all[len(all):n])
		if err != nil {
			return nil, err
		}
		all = all[:len(all)+got]
	}
	second, err := f.Open(ctx, connect.Split{ID: id}, first.Position())
	if err != nil {
		return nil, err
	}
	defer second.Close()
	if !bytes.Equal(second.Position(), first.Position()) {
		return nil, errors.New("the position changed by opening at it")
	}
	rest, _, err := drain(second, 7)
	return append(all, rest...), err
}

func TestResumeFindsChangedFiles(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	for _, kind := range []string{"plain", "gzip", "zstd"} {
		path := put(t, "f", pack(t, kind, text.String()))
		f := file.Lines(path)
		r, err := f.Open(context.Background(), connect.Split{ID: "f"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(context.Background(), make([]string, 2000)); err != nil {
			t.Fatal(err)
		}
		pos := r.Position()
		r.Close()
		changed := strings.Replace(text.String(), "line 0", "LINE 0", 1)
		tail := strings.Replace(text.String(), "line 1999", "LINE 1999", 1)
		other := map[string]string{"plain": "gzip", "gzip": "zstd", "zstd": "plain"}[kind]
		for content, word := range map[string]string{
			pack(t, kind, text.String()[:9000]): "truncated or replaced", pack(t, kind, ""): "", pack(t, kind, changed): "other content",
			pack(t, kind, tail): "other content", pack(t, other, text.String()): "replaced",
		} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := f.Open(context.Background(), connect.Split{ID: "f"}, pos)
			if err == nil {
				_, err = r.Read(context.Background(), make([]string, 1))
			}
			mention(t, err, word, path)
		}
		for _, damaged := range [][]byte{{9}, pos[:5], pos[:len(pos)-1]} {
			_, err := f.Open(context.Background(), connect.Split{ID: "f"}, damaged)
			mention(t, err, "position")
		}
	}
}

func TestFollow(t *testing.T) {
	path := put(t, "log.csv", "")
	type rec struct{ A, B int }
	f := file.CSV[rec](path).Follow(time.Second)
	if f.DiscoverEvery() != time.Second {
		t.Errorf("DiscoverEvery is %v", f.DiscoverEvery())
	}
	r, err := f.Open(context.Background(), connect.Split{ID: "log.csv"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	batch := make([]rec, 10)
	content := ""
	for i, step := range []struct {
		add  string
		want int
	}{{"", 0}, {"a", 0}, {",b", 0}, {"\n1", 0}, {",2", 0}, {"\n", 1}, {"", 0}, {"3,4\n5,6\n7,", 2}, {"8\n", 1}} {
		content += step.add
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := r.Read(context.Background(), batch)
		if n != step.want || err != nil {
			t.Fatalf("step %d: %d records, %v; want %d", i, n, err, step.want)
		}
		again, err := f.Open(context.Background(), connect.Split{ID: "log.csv"}, r.Position())
		if err != nil {
			t.Fatalf("step %d: open again: %v", i, err)
		}
		if n, err := again.Read(context.Background(), batch[9:]); n != 0 || err != nil {
			t.Fatalf("step %d: a second reader found %d more, %v", i, n, err)
		}
		again.Close()
	}
	if err := os.WriteFile(path, []byte("a,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Read(context.Background(), batch)
	mention(t, err, "shrank to 4 bytes")
	_, err = file.Lines(put(t, "x.gz", member(t, "a\n"))).Follow(time.Second).Open(context.Background(), connect.Split{ID: "x.gz"}, nil)
	mention(t, err, "gzip", "cannot be followed")
}

// weakFS has files that cannot be read beyond some bytes.
type weakFS struct {
	fsx.OS
	limit int
}

var errWorn = errors.New("the disk is worn out")

func (w weakFS) Open(path string) (fsx.File, error) {
	f, err := w.OS.Open(path)
	return &weakFile{f, w.limit}, err
}

type weakFile struct {
	fsx.File
	left int
}

func (w *weakFile) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errWorn
	}
	n, err := w.File.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

func TestRecordsBeforeAnUnreadablePlaceComeFirst(t *testing.T) {
	text := strings.Repeat("a line\n", 100)
	for kind, limit := range map[string]int{"plain": 355, "gzip": 40} {
		ctx := env.With(context.Background(), &env.Env{FS: weakFS{limit: limit}})
		r, err := file.Lines(put(t, "f", pack(t, kind, text))).Open(ctx, connect.Split{ID: "f"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := drain(r, 10)
		if !errors.Is(err, errWorn) || len(got) < 50 {
			t.Errorf("%s: %d records, then %v", kind, len(got), err)
		}
		mention(t, err, "byte "+fmt.Sprint(limit), fmt.Sprintf("%d records were read before it, to line %d", len(got), len(got)))
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFollowedDirectoryGetsNewFiles(t *testing.T) {
	dir := t.TempDir()
	f := file.Lines(dir).Follow(time.Minute)
	for _, want := range []int{0, 1, 2} {
		splits, err := f.Splits(context.Background())
		if err != nil || len(splits) != want {
			t.Errorf("%d splits, %v; want %d", len(splits), err, want)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("log", want)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "log3")); err != nil {
		t.Fatal(err)
	}
	if splits, err := f.Splits(context.Background()); err != nil || len(splits) != 3 {
		t.Errorf("with a file that is gone: %d splits, %v", len(splits), err)
	}
	_, err := file.Lines(dir).Splits(context.Background())
	mention(t, err, "log3", "no such file")
}
