package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/cmd/cli"
)

func newDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two traces, and show the first event at which they part",
		Long: `Compare two traces as 'run --trace FILE' writes them, and show the first event at
which they part, with what came before and after it in each.`,
		Example: `  reprise-sim run --seed 7 --trace a.trace
  GOGC=10 reprise-sim run --seed 7 --trace b.trace
  reprise-sim diff a.trace b.trace`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return cli.Usagef("diff takes two traces, but has %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			parting, events, err := compareFiles(args[0], args[1])
			switch {
			case err != nil:
				return err
			case parting == nil:
				fmt.Fprintf(cmd.OutOrStdout(), "the same: %d events\n", events)
				return nil
			}
			fmt.Fprint(cmd.OutOrStdout(), parting.describe(args[0], args[1]))
			return cli.ErrSilent
		},
	}
}

// How many events of both are shown before they part, and of each from then on.
const (
	eventsBefore = 8
	eventsAfter  = 6
)

// parting is where two traces part.
type parting struct {
	event  int      // that differs first, from 1
	before []string // that both have
	a, b   []string // from the first that differs on; empty where a trace has ended
}

// describe writes it for people, with the names of both.
func (p *parting) describe(a, b string) string {
	var w strings.Builder
	fmt.Fprintf(&w, "event %d is the first that differs\n", p.event)
	section := func(name string, lines []string) {
		fmt.Fprintf(&w, "%s\n", name)
		for _, line := range lines {
			fmt.Fprintf(&w, "    %s\n", line)
		}
		if len(lines) == 0 {
			w.WriteString("    (ends here)\n")
		}
	}
	if len(p.before) > 0 {
		section("both", p.before)
	}
	section(a, p.a)
	section(b, p.b)
	return w.String()
}

func compareFiles(a, b string) (*parting, int, error) {
	first, err := os.Open(a)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = first.Close() }()
	second, err := os.Open(b)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = second.Close() }()
	return compare(first, second)
}

// maxLine bounds a line of a trace.
const maxLine = 1 << 20

// compare finds where two traces part; nil if they are the same, of so many events.
func compare(first, second io.Reader) (*parting, int, error) {
	a, b := bufio.NewScanner(first), bufio.NewScanner(second)
	a.Buffer(nil, maxLine)
	b.Buffer(nil, maxLine)
	var before []string
	for events := 0; ; events++ {
		moreA, moreB := a.Scan(), b.Scan()
		if err := errors.Join(a.Err(), b.Err()); err != nil {
			return nil, events, err
		}
		switch {
		case !moreA && !moreB:
			return nil, events, nil
		case !moreA || !moreB || a.Text() != b.Text():
			return &parting{event: events + 1, before: before, a: follow(a, moreA), b: follow(b, moreB)}, events, nil
		}
		if len(before) == eventsBefore {
			before = before[1:]
		}
		before = append(before, a.Text())
	}
}

// follow gives some lines, from the one that was just scanned on.
func follow(s *bufio.Scanner, more bool) (lines []string) {
	for ; more && len(lines) < eventsAfter; more = s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines
}
