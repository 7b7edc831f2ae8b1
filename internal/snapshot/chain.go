package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// StateGroups says which groups of one state a file has something about.
type StateGroups struct {
	Operator string
	State    string
	// Groups rise.
	Groups []int
	// Resets are those of Groups that the file resets: it begins a new chain for them.
	Resets []int
	// Bytes is what all entries of the state take in the file before compression.
	Bytes int64

	packed *stateGroupsJSON // between UnmarshalJSON and the end of DecodeManifest
}

// stateGroupsJSON shows groups as ranges ("0-63 70"), which a person can read.
type stateGroupsJSON struct {
	Operator string `json:"operator"`
	State    string `json:"state"`
	Groups   string `json:"groups"`
	Resets   string `json:"resets,omitempty"`
	Bytes    int64  `json:"bytes"`
}

// MarshalJSON writes the groups as ranges.
func (s StateGroups) MarshalJSON() ([]byte, error) {
	return json.Marshal(stateGroupsJSON{s.Operator, s.State, formatGroups(s.Groups), formatGroups(s.Resets), s.Bytes})
}

// UnmarshalJSON takes the ranges as they are; DecodeManifest expands them once it knows how many groups there can be, so that a
// few bytes cannot claim much memory.
func (s *StateGroups) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.packed); err != nil {
		return err
	}
	if s.packed == nil {
		return errors.New("null where the contents of a file belong")
	}
	return nil
}

// maxExpanded bounds the group numbers of all files of a manifest together.
const maxExpanded = 1 << 25

// expand turns the ranges into numbers.
func (m *Manifest) expand() error {
	budget := maxExpanded
	for i := range m.Files {
		for k := range m.Files[i].Contents {
			s := &m.Files[i].Contents[k]
			if s.packed == nil { // null where an object belongs
				return fmt.Errorf("file %q has empty contents", m.Files[i].Name)
			}
			j := s.packed
			groups, err1 := parseGroups(j.Groups, min(m.Groups, MaxGroups))
			resets, err2 := parseGroups(j.Resets, min(m.Groups, MaxGroups))
			if err := errors.Join(err1, err2); err != nil {
				return fmt.Errorf("file %q: %w", m.Files[i].Name, err)
			}
			*s = StateGroups{Operator: j.Operator, State: j.State, Groups: groups, Resets: resets, Bytes: j.Bytes}
			if budget -= len(groups) + len(resets); budget < 0 {
				return fmt.Errorf("files name more than %d groups in all", maxExpanded)
			}
		}
	}
	return nil
}

func formatGroups(groups []int) string {
	var b []byte
	for i := 0; i < len(groups); {
		j := i + 1
		for j < len(groups) && groups[j] == groups[j-1]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(groups[i]), 10)
		if j-i > 1 {
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(groups[j-1]), 10)
		}
		i = j
	}
	return string(b)
}

// parseGroups takes groups below limit.
func parseGroups(text string, limit int) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	var out []int
	next := 0
	for part := range strings.SplitSeq(text, " ") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || lo < next || hi < lo || hi >= limit {
			return nil, fmt.Errorf("groups %q are not rising ranges below %d", clip([]byte(text)), limit)
		}
		for g := lo; g <= hi; g++ {
			out = append(out, g)
		}
		next = hi + 1
	}
	return out, nil
}

// Chain says for one named state of one operator which files, read oldest first, hold each group.
type Chain struct {
	Operator string `json:"operator"`
	State    string `json:"state"`
	// Runs rise and do not overlap; a group in none of them has no state.
	Runs []Run `json:"runs"`
}

// Run is a range of groups [Lo, Hi) that the same files hold.
type Run struct {
	Lo int `json:"lo"`
	Hi int `json:"hi"`
	// Files are indexes into the files of the manifest, oldest first.
	Files []int `json:"files"`
}

func (c *Chain) check(m *Manifest) error {
	next := 0
	for _, r := range c.Runs {
		if r.Lo < next || r.Hi <= r.Lo || r.Hi > m.Groups || len(r.Files) == 0 {
			return fmt.Errorf("run of groups [%d, %d) with %d files after group %d of %d", r.Lo, r.Hi, len(r.Files), next, m.Groups)
		}
		next = r.Hi
		for i, f := range r.Files {
			if f < 0 || f >= len(m.Files) {
				return fmt.Errorf("file number %d of %d", f, len(m.Files))
			}
			if i > 0 && m.Files[r.Files[i-1]].Epoch >= m.Files[f].Epoch {
				return fmt.Errorf("file %s is not older than %s", m.Files[r.Files[i-1]].Name, m.Files[f].Name)
			}
		}
	}
	return nil
}

// stateKey names a state in maps.
type stateKey struct{ operator, state string }

// Extend computes next.Files and next.Chains from those of the checkpoint before (nil for the first) and the files written since. A
// group that a new file resets begins a new chain, one that it mentions gets the file appended, all others keep their chain. Files
// in no chain are left out. It fails, and leaves next alone, when the files do not fit together: two new ones about the same group,
// one that is not of next.Epoch, or another number of groups than before.
func Extend(prev, next *Manifest, newFiles []FileInfo) error {
	if next.Groups <= 0 || next.Groups > MaxGroups {
		return fmt.Errorf("snapshot: extend: %d groups, they go from 1 to %d", next.Groups, MaxGroups)
	}
	if prev != nil && (prev.Groups != next.Groups || prev.Epoch >= next.Epoch) {
		return fmt.Errorf("snapshot: extend: epoch %d with %d groups cannot follow epoch %d with %d", next.Epoch, next.Groups, prev.Epoch, prev.Groups)
	}
	chains, files := inherited(prev, next.Groups)
	for _, f := range newFiles {
		if f.Epoch != next.Epoch {
			return fmt.Errorf("snapshot: extend: file %s is of epoch %d, the manifest of %d", f.Name, f.Epoch, next.Epoch)
		}
		files = append(files, f)
		for _, c := range f.Contents {
			if err := appendFile(chains, files, c, next.Groups); err != nil {
				return err
			}
		}
	}
	next.Files, next.Chains = pack(chains, files)
	return nil
}

// inherited unpacks the chains of a manifest into one list of files for each group.
func inherited(prev *Manifest, groups int) (map[stateKey][][]int, []FileInfo) {
	chains := map[stateKey][][]int{}
	if prev == nil {
		return chains, nil
	}
	for _, c := range prev.Chains {
		per := make([][]int, groups)
		for _, r := range c.Runs {
			for g := r.Lo; g < r.Hi; g++ {
				per[g] = r.Files
			}
		}
		chains[stateKey{c.Operator, c.State}] = per
	}
	return chains, slices.Clone(prev.Files)
}

// appendFile puts the last of files into the chains of what it holds of one state.
func appendFile(chains map[stateKey][][]int, files []FileInfo, c StateGroups, groups int) error {
	at := len(files) - 1
	key := stateKey{c.Operator, c.State}
	per := chains[key]
	if per == nil {
		per = make([][]int, groups)
		chains[key] = per
	}
	resets := c.Resets
	for _, g := range c.Groups {
		if g < 0 || g >= groups {
			return fmt.Errorf("snapshot: extend: file %s has group %d of %d", files[at].Name, g, groups)
		}
		if n := len(per[g]); n > 0 && files[per[g][n-1]].Epoch >= files[at].Epoch {
			return fmt.Errorf("snapshot: extend: files %s and %s both have group %d of %s/%s", files[per[g][n-1]].Name, files[at].Name, g, c.Operator, c.State)
		}
		for len(resets) > 0 && resets[0] < g {
			resets = resets[1:]
		}
		if len(resets) > 0 && resets[0] == g {
			per[g] = []int{at}
		} else {
			per[g] = append(slices.Clip(per[g]), at)
		}
	}
	return nil
}

// pack numbers the files that are in use anew and joins neighbouring groups with the same files to runs.
func pack(chains map[stateKey][][]int, files []FileInfo) ([]FileInfo, []Chain) {
	used := make([]bool, len(files))
	for _, per := range chains {
		for _, list := range per {
			for _, f := range list {
				used[f] = true
			}
		}
	}
	number := make([]int, len(files))
	var kept []FileInfo
	for i, f := range files {
		if used[i] {
			number[i] = len(kept)
			kept = append(kept, f)
		}
	}
	var out []Chain
	for key, per := range chains {
		c := Chain{Operator: key.operator, State: key.state}
		for g := 0; g < len(per); {
			end := g + 1
			for end < len(per) && slices.Equal(per[g], per[end]) {
				end++
			}
			if len(per[g]) > 0 {
				run := Run{Lo: g, Hi: end, Files: make([]int, len(per[g]))}
				for i, f := range per[g] {
					run.Files[i] = number[f]
				}
				c.Runs = append(c.Runs, run)
			}
			g = end
		}
		if len(c.Runs) > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Chain) int { return compareState(a.Operator, a.State, b.Operator, b.State) })
	return kept, out
}

// Length says how long the chain of a group is.
type Length struct {
	// Files is the number of files in it.
	Files int
	// Base is the group's share of the bytes in the first file, Since of those in the others: when Since has outgrown Base, it is
	// time to write the group in full. The share assumes that all groups of the state have equal parts of a file.
	Base, Since int64
}

// ChainLength measures the chain of a group; all is 0 when the group has no state.
func (m *Manifest) ChainLength(operator, state string, group int) Length {
	var l Length
	for i, f := range m.chain(operator, state, group) {
		share := int64(0)
		for _, c := range m.Files[f].Contents {
			if c.Operator == operator && c.State == state && len(c.Groups) > 0 {
				share = c.Bytes / int64(len(c.Groups))
			}
		}
		if l.Files++; i == 0 {
			l.Base = share
		} else {
			l.Since += share
		}
	}
	return l
}

func (m *Manifest) chain(operator, state string, group int) []int {
	for _, c := range m.Chains {
		if c.Operator != operator || c.State != state {
			continue
		}
		for _, r := range c.Runs {
			if group >= r.Lo && group < r.Hi {
				return r.Files
			}
		}
	}
	return nil
}
