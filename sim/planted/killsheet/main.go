// Command killsheet plants each bug of package planted into the simulator, one at a
// time, and prints by which seed and verdict it is found.
//
// It exits 0 if every bug is found by one of the verdicts that it must be found by
// (and those that lose data by what the clients saw alone, too), 1 if not, and 2
// when what was asked makes no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/reprise-mq/reprise/sim/planted"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &sheet{out: os.Stdout}
	only := pflag.String("only", "", "plant only the bugs whose name matches this `regexp`")
	seeds := pflag.String("seeds", "1..300", "look for each bug in the seeds `A..B`, both included")
	pflag.IntVar(&s.jobs, "jobs", 1, "how many seeds to run at the same time")
	pflag.DurationVar(&s.budget, "shrink", 0, "also shrink the plan that found each bug, for at most this `time`")
	pflag.Parse()
	names, err := regexp.Compile(*only)
	_, scanned := fmt.Sscanf(*seeds, "%d..%d", &s.first, &s.last)
	if err = errors.Join(err, scanned); err != nil || s.last < s.first || s.jobs < 1 || pflag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "killsheet: --only takes a regular expression, --seeds A..B with A not above B, --jobs at least 1:", err)
		os.Exit(exitUsage)
	}
	if err := s.print(ctx, names); err != nil {
		fmt.Fprintln(os.Stderr, "killsheet:", err)
		os.Exit(exitFailed)
	}
}

// sheet is the kill sheet that is being printed.
type sheet struct {
	out         *os.File
	first, last uint64
	jobs        int
	budget      time.Duration
	root        string
	// hunts that found their bugs by all verdicts, and the reductions of their plans.
	hunts   []*hunt
	reduced []*reduction
}

var errNotFound = errors.New("not every bug was found as it must be")

// print goes through the bugs.
func (s *sheet) print(ctx context.Context, names *regexp.Regexp) error {
	bugs, err := planted.Bugs()
	if err != nil {
		return err
	}
	where, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w; run it inside the checkout", err)
	}
	s.root = strings.TrimSpace(string(where))
	fmt.Fprintf(s.out, "%-34s %5s  %-5s %5s %6s %8s  %s\n", "bug", "class", "judge", "seed", "seeds", "CPU s", "verdict")
	found, looked := 0, 0
	for i := range bugs {
		if !names.MatchString(bugs[i].Name) {
			continue
		}
		looked++
		ok, err := s.plant(ctx, &bugs[i])
		if err != nil {
			return fmt.Errorf("%s: %w", bugs[i].Name, err)
		}
		if ok {
			found++
		}
	}
	fmt.Fprintf(s.out, "%d of %d bugs found in seeds %d to %d; median seeds to the find: %d\n",
		found, looked, s.first, s.last, middle(s.hunts, func(h *hunt) int64 { return int64(h.seeds) }))
	if s.budget > 0 {
		fmt.Fprintln(s.out, medians(s.reduced))
	}
	if found < looked {
		return errNotFound
	}
	return nil
}

// plant builds the simulator with a bug and looks for it.
func (s *sheet) plant(ctx context.Context, b *planted.Bug) (found bool, err error) {
	folder, err := os.MkdirTemp("", "planted-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	overlay, err := b.Overlay(s.root, folder)
	if err != nil {
		return false, err
	}
	simulator := filepath.Join(folder, "reprise-sim")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", simulator, "./cmd/reprise-sim")
	build.Dir = s.root
	if text, err := build.CombinedOutput(); err != nil {
		return false, fmt.Errorf("go build: %w\n%s", err, text)
	}
	h := &hunt{simulator: simulator, jobs: s.jobs, plans: b.Plans, verdicts: b.Verdicts}
	if err := h.run(ctx, s.first, s.last); err != nil {
		return false, err
	}
	fmt.Fprintf(s.out, "%-34s %5d  %-5s %s\n", b.Name, b.Class, "all", h)
	if h.found() {
		s.hunts = append(s.hunts, h)
	}
	if h.found() && s.budget > 0 {
		small, err := h.reduce(ctx, s.budget)
		if err != nil {
			return false, err
		}
		s.reduced = append(s.reduced, small)
		fmt.Fprintf(s.out, "%-34s %5s  %-5s %s\n", "", "", "", small)
	}
	if !b.Loses {
		return h.found(), nil
	}
	c := &hunt{simulator: simulator, jobs: s.jobs, plans: b.Plans, blackBox: true}
	if err := c.run(ctx, s.first, s.last); err != nil {
		return false, err
	}
	fmt.Fprintf(s.out, "%-34s %5s  %-5s %s\n", "", "", "box", c)
	return h.found() && c.found(), nil
}
