package snapshot

import (
	"reflect"
	"strings"
	"testing"
)

func TestManifestRoundTrip(t *testing.T) {
	m := &Manifest{
		Job: "j ✓ \"<>&\n", Fingerprint: "f", Epoch: 1<<63 + 5, Term: 1<<64 - 1, Parallelism: 3, Groups: 128, Finished: true, Restarts: 2,
		Created: "2026-11-20T08:00:00Z",
		Operators: []OperatorState{{
			ID: "count", Kind: "window", Types: map[string]string{"a": "b", "": ""}, Subtasks: [][]byte{{0, 255}, nil, {}},
			Committables: [][]byte{[]byte("x")}, Counters: map[string]int64{"in": -1 << 63},
		}, {ID: "sink"}},
		Files: []FileInfo{{
			Name: fileID{7, 12345, 9}.name(), Size: 1 << 40, CRC32C: 1<<32 - 1, Epoch: 7, Term: 9, Task: 12345,
			Contents: []StateGroups{{Operator: "o", State: "s", Groups: []int{0, 1, 2, 127}, Resets: []int{1}, Bytes: 99}},
		}},
		Chains: []Chain{{"o", "s", []Run{{0, 3, []int{0}}, {127, 128, []int{0}}}}},
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeManifest("m", b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("\n got %+v\nwant %+v", got, m)
	}
	if text := string(b); !strings.HasPrefix(text, "millrace-manifest 2\n{\n") || !strings.Contains(text, `"groups": "0-2 127"`) {
		t.Errorf("not for people:\n%s", text)
	}
}

func TestDecodeManifestRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"unknown field":          `{"job":"j","surprise":1}`,
		"two values":             `{} {}`,
		"no object":              `[]`,
		"nothing":                ``,
		"name that leads away":   `{"groups":1,"files":[{"name":"../e00000000000000000000-t0000-term0.mrs"}]}`,
		"name of another epoch":  `{"groups":1,"epoch":1,"files":[{"name":"e00000000000000000001-t0000-term0.mrs","epoch":0}]}`,
		"file twice":             `{"groups":1,"files":[{"name":"e00000000000000000000-t0000-term0.mrs"},{"name":"e00000000000000000000-t0000-term0.mrs"}]}`,
		"file of later epoch":    `{"groups":1,"files":[{"name":"e00000000000000000009-t0000-term0.mrs","epoch":9}]}`,
		"negative size":          `{"groups":1,"files":[{"name":"e00000000000000000000-t0000-term0.mrs","size":-1}]}`,
		"group too high":         `{"groups":4,"files":[{"name":"e00000000000000000000-t0000-term0.mrs","contents":[{"groups":"0-4"}]}]}`,
		"empty contents":         `{"groups":4,"files":[{"name":"e00000000000000000000-t0000-term0.mrs","contents":[null]}]}`,
		"chain without file":     `{"groups":4,"chains":[{"runs":[{"lo":0,"hi":1,"files":[0]}]}]}`,
		"run without files":      `{"groups":4,"chains":[{"runs":[{"lo":0,"hi":1,"files":[]}]}]}`,
		"run backwards":          `{"groups":4,"files":[{"name":"e00000000000000000000-t0000-term0.mrs"}],"chains":[{"runs":[{"lo":1,"hi":1,"files":[0]}]}]}`,
		"file twice in a chain":  `{"groups":4,"files":[{"name":"e00000000000000000000-t0000-term0.mrs"}],"chains":[{"runs":[{"lo":0,"hi":1,"files":[0,0]}]}]}`,
		"chains in wrong order":  `{"chains":[{"operator":"b"},{"operator":"a"}]}`,
		"negative groups":        `{"groups":-1}`,
		"more groups than there": `{"groups":65537}`,
	} {
		if m, err := DecodeManifest("m", frame(manifestFirst, []byte(body))); !isDamaged(err) {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
}
