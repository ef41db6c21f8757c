package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Same seed, same hash: in processes that are scheduled and collected otherwise,
// and by a build for another processor without assembly.
func TestSameSeedSameTrace(t *testing.T) {
	plain := build(t, nil)
	other := build(t, []string{"GOAMD64=v3"}, "-tags", "noasm")
	want := traces(t, plain, "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=1GiB")
	seen := make(map[string]uint64)
	for seed, trace := range want {
		if before, twice := seen[trace]; twice {
			t.Errorf("seeds %d and %d have one trace", before, seed)
		}
		seen[trace] = seed
	}
	for _, variant := range []struct {
		program string
		env     []string
	}{
		{plain, []string{"GOMAXPROCS=2", "GOGC=off", "GOMEMLIMIT=1GiB"}},
		{plain, []string{"GOMAXPROCS=1", "GOGC=10"}},
		{plain, []string{"GOMAXPROCS=2", "GOGC=10"}},
		{other, []string{"GOMAXPROCS=2"}},
	} {
		begun := time.Now()
		got := traces(t, variant.program, variant.env...)
		for seed, trace := range want {
			if got[seed] != trace {
				t.Errorf("seed %d: trace %s with %v by %s, and %s otherwise\nsee both: reprise-sim run --seed %d --trace FILE",
					seed, got[seed], variant.env, filepath.Base(filepath.Dir(variant.program)), trace, seed)
			}
		}
		t.Logf("%d seeds with %v in %v", len(got), variant.env, time.Since(begun).Round(time.Millisecond))
	}
}

const seedsCompared = 20

// build makes the program in a folder of its own.
func build(t *testing.T, env []string, flags ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "reprise-sim")
	cmd := exec.Command("go", append(append([]string{"build", "-o", name}, flags...), ".")...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", flags, err, out)
	}
	return name
}

// traces runs the seeds and gives the trace of each.
func traces(t *testing.T, program string, env ...string) map[uint64]string {
	t.Helper()
	cmd := exec.Command(program, "run", "--seeds", "1..20", "--jobs", "2", "--json")
	cmd.Env = append(os.Environ(), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	got := make(map[uint64]string)
	for lines := json.NewDecoder(&out); lines.More(); {
		var o outcome
		if err := lines.Decode(&o); err != nil {
			t.Fatal(err)
		}
		got[o.Seed] = o.Trace
	}
	if len(got) != seedsCompared {
		t.Fatalf("%d seeds have a trace, want %d", len(got), seedsCompared)
	}
	return got
}
