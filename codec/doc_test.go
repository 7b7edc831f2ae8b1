package codec

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestExamplesOfThePageOnKeys recomputes the bytes and hashes that docs/format/keys.md shows.
func TestExamplesOfThePageOnKeys(t *testing.T) {
	page, err := os.ReadFile("../docs/format/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	type stop struct {
		Line  int16
		Night bool
	}
	for _, line := range []string{
		showKey(t, "int16(-3)", int16(-3)),
		showKey(t, "uint32(7)", uint32(7)),
		showKey(t, `"ORD"`, "ORD"),
		showKey(t, `"a\x00b"`, "a\x00b"),
		showKey(t, "struct{ Line int16; Night bool }{-3, true}", stop{-3, true}),
		showKey(t, "time.Unix(0, 5)", time.Unix(0, 5)),
		showHash(t, `""`, ""),
		showHash(t, `"ORD"`, "ORD"),
		showHash(t, "int64(0)", int64(0)),
		showHash(t, "int64(-1)", int64(-1)),
		showHash(t, "time.Unix(0, 0)", time.Unix(0, 0)),
	} {
		if !strings.Contains(string(page), line) {
			t.Errorf("the page does not have the line\n%s", line)
		}
	}
}

func showKey[K comparable](t *testing.T, name string, k K) string {
	b := strings.ToUpper(hex.EncodeToString(mustKey[K](t).Append(nil, &k)))
	var parts []string
	for ; b != ""; b = b[2:] {
		parts = append(parts, b[:2])
	}
	return "| `" + name + "` | `" + strings.Join(parts, " ") + "` |"
}

func showHash[K comparable](t *testing.T, name string, k K) string {
	return "| `" + name + "` | `" + fmt.Sprintf("%016X", mustKey[K](t).Hash(&k)) + "` |"
}
