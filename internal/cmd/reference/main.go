// Command reference runs the reference queries in all ways and prints what came of each.
//
//	reference [-v] [-shift n] [name...]
//
// Names choose queries by their beginning: "f" for those over flights, "f7" for one. Its exit code is 1 when a result differs from
// the reference, and 0 when the data is not on this machine: then it says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace/internal/reference"
)

func main() {
	verbose := flag.Bool("v", false, "say where runs were killed")
	shift := flag.Uint("shift", 0, "kill each query at other points than without it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, flag.Args(), *shift, *verbose)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
	}
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, names []string, shift uint, verbose bool) (code int, err error) {
	queries := reference.Queries()
	if len(names) > 0 {
		queries = slices.DeleteFunc(queries, func(q reference.Query) bool {
			return !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(q.Name, n) })
		})
	}
	if len(queries) == 0 {
		return 2, fmt.Errorf("no query begins with %s", strings.Join(names, " or "))
	}
	data, err := reference.FindData()
	if errors.Is(err, reference.ErrNoData) {
		fmt.Println("skipped:", err)
		return 0, nil
	}
	if err != nil {
		return 1, err
	}
	work, err := os.MkdirTemp("", "millrace-reference-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	suite, err := reference.NewSuite(data, work)
	if err != nil {
		return 1, err
	}
	suite.Shift = shift
	passed, failed := 0, 0
	for _, q := range queries {
		ok := line(ctx, suite, q, verbose)
		if ctx.Err() != nil {
			return 1, context.Cause(ctx)
		}
		if ok {
			passed++
		} else {
			failed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return min(failed, 1), nil
}

// line runs one query in all ways and prints its line, and more below it: why ways failed, where runs were killed. It returns whether no
// way failed.
func line(ctx context.Context, suite *reference.Suite, q reference.Query, verbose bool) bool {
	fmt.Printf("%-32s", q.Name)
	var notes []string
	ok := true
	for i, w := range reference.Ways() {
		r, err := suite.Run(ctx, q, w)
		if i == 0 {
			fmt.Printf(" %6d rows", r.Rows)
		}
		verdict := "ok"
		if err != nil {
			ok, verdict = false, "FAILED"
			if errors.Is(err, reference.ErrMismatch) {
				verdict = "MISMATCH"
			}
			notes = append(notes, err.Error())
		}
		if verbose {
			notes = append(notes, r.Kills...)
		}
		fmt.Printf("  %s %s %v", w, verdict, r.Took.Round(time.Millisecond))
	}
	fmt.Println()
	for _, n := range notes {
		fmt.Println("   ", n)
	}
	return ok
}
