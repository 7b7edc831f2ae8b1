package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// finding is what an alert says, without the rest.
type finding struct {
	rule    Rule
	payment uint64
}

// expected returns all findings that are right, found in another way than the job finds them: with all payments of a card at hand, in
// the order of event time, by looking at each pair. The third rule has no definition without a history, so there the planted cases are
// all that may be found.
func (w *world) expected() map[finding]bool {
	all := map[finding]bool{}
	for _, c := range w.cases {
		if c.rule == Amount {
			all[finding{Amount, c.payments[0]}] = true
		}
	}
	for _, payments := range w.byCard() {
		for i := range payments {
			p, minute := &payments[i], 0
			for j := range payments {
				q := &payments[j]
				gap := p.Time.Sub(q.Time)
				if gap < 0 {
					continue
				}
				if gap < velocityWithin {
					minute++
				}
				if gap <= travelWithin && p.ID != q.ID && kilometres(p.Lat, p.Lon, q.Lat, q.Lon) > plausibleSpeed*gap.Hours() {
					all[finding{Travel, p.ID}] = true
				}
			}
			if minute > velocityMax {
				all[finding{Velocity, p.ID}] = true
			}
		}
	}
	return all
}

// byCard returns the payments of each card, each once.
func (w *world) byCard() map[uint64][]Payment {
	cards, seen := map[uint64][]Payment{}, map[uint64]bool{}
	for place := range w.total {
		if p := w.at(place); !seen[p.ID] {
			seen[p.ID] = true
			cards[p.Card] = append(cards[p.Card], p)
		}
	}
	return cards
}

// check compares alerts with what was planted and with what is expected. With once set, none may come twice. It returns what is
// wrong, and a summary.
func (w *world) check(alerts []Alert, once bool) (string, error) {
	got := map[finding]int{}
	for _, a := range alerts {
		got[finding{a.Rule, a.Payment}]++
	}
	var errs []error
	wrong := func(n int, format string, args ...any) {
		if n > 0 {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	planted := map[finding]bool{}
	for _, c := range w.cases {
		missed := slices.DeleteFunc(slices.Clone(c.payments), func(p uint64) bool {
			planted[finding{c.rule, p}] = true
			return got[finding{c.rule, p}] > 0
		})
		wrong(len(missed), "the %s case of card %d was planted, and payments %v of it are not alerted", c.rule, c.card, missed)
	}
	want, others := w.expected(), 0
	for f := range want {
		if got[f] == 0 && !planted[f] {
			wrong(1, "payment %d is a case of %s that nobody planted, and is not alerted", f.payment, f.rule)
		}
	}
	repeated := 0
	for f, n := range got {
		if !want[f] {
			wrong(1, "payment %d is alerted for %s, and is innocent", f.payment, f.rule)
		} else if !planted[f] {
			others++
		}
		repeated += n - 1
	}
	if once {
		wrong(repeated, "%d alerts came more than once", repeated)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if n := len(errs); n > 10 {
		errs = append(errs[:10], fmt.Errorf("and %d more", n-10))
	}
	return fmt.Sprintf("%d planted cases found, %d other suspicious payments, %d alerts came again", len(w.cases), others, repeated), errors.Join(errs...)
}

// readAlerts reads the alerts in files.
func readAlerts(pattern string) ([]Alert, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var alerts []Alert
	for _, path := range paths {
		f, err := os.Open(path) //nolint:gosec // a file of the job
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() && err == nil {
			var a Alert
			if err = json.Unmarshal(lines.Bytes(), &a); err == nil {
				alerts = append(alerts, a)
			}
		}
		if err := errors.Join(err, lines.Err(), f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return alerts, nil
}

// atMost says whether a latency is within a limit.
func atMost(latency, limit time.Duration) string {
	if latency < limit {
		return "ok"
	}
	return "MISSED"
}
