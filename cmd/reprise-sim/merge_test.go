package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// The shards of a range are disjoint and make up the range, at the end of all
// numbers too.
func TestShards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Just(^uint64(0)-40)).Draw(t, "first")
		last := first + rapid.Uint64Range(0, 40).Draw(t, "span")
		of := rapid.Uint64Range(1, 60).Draw(t, "of")
		seen := make(map[uint64]bool)
		for index := range of {
			s, err := parseShard(fmt.Sprintf("%d/%d", index, of))
			if err != nil {
				t.Fatal(err)
			}
			seed, count, step := s.seeds(first, last)
			for range count {
				if seen[seed] || seed < first || seed > last {
					t.Fatalf("seed %d is not there, or twice", seed)
				}
				seen[seed] = true
				seed += step
			}
		}
		if uint64(len(seen)) != last-first+1 {
			t.Fatalf("%d seeds", len(seen))
		}
	})
	for _, bad := range []string{"1", "1/1", "a/2", "0/0", "-1/2", "0/2/3"} {
		if _, err := parseShard(bad); err == nil {
			t.Errorf("%q is a shard", bad)
		}
	}
}

// jsonl writes outcomes to a file.
func jsonl(t *testing.T, outcomes ...*outcome) string {
	t.Helper()
	var b bytes.Buffer
	for _, o := range outcomes {
		if err := json.NewEncoder(&b).Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "part.jsonl")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMerge(t *testing.T) {
	pass := func(seed uint64, trace string) *outcome {
		return &outcome{Seed: seed, Verdict: checker.Pass, Trace: trace, Anomalies: []string{}, WallMs: 2000, Faults: map[string]int{"crash": 1}}
	}
	a, b := jsonl(t, pass(2, "two"), pass(1, "one")), jsonl(t, pass(3, "three"), pass(1, "one"))
	code, stdout, stderr := call("merge", a, b)
	if code != 0 || !strings.Contains(stdout, "3 pass, 0 weak") || !strings.Contains(stdout, "6s") || !strings.Contains(stdout, "3  (3)") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	code, stdout, _ = call("merge", "--json", a, b)
	if code != 0 || strings.Count(stdout, "\n") != 3 || !strings.HasPrefix(stdout, `{"seed":1,`) {
		t.Errorf("exit %d: %s", code, stdout)
	}
	fail := pass(4, "four")
	fail.Verdict, fail.Anomalies = checker.Fail, []string{"lost-write"}
	if code, stdout, _ := call("merge", a, jsonl(t, fail)); code != cli.Failed || !strings.Contains(stdout, "seed 4: fail: lost-write") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if code, stdout, _ := call("merge", a, jsonl(t, pass(1, "another"))); code != cli.Failed || !strings.Contains(stdout, nondeterminism) {
		t.Errorf("exit %d: %s", code, stdout)
	}
	none := filepath.Join(t.TempDir(), "none.jsonl")
	if err := os.WriteFile(none, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call("merge", none); code != cli.Failed || !strings.Contains(stderr, "can be merged") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
