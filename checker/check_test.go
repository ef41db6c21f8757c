package checker_test

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/checker"
)

// shapes of histories that tests go through.
var shapes = []shape{
	{clients: 3, steps: 60, partitions: 1, batch: 1, most: 4, final: true},
	{clients: 5, steps: 400, partitions: 2, batch: 1, unknown: 10, failing: 10, most: 5, final: true},
	{clients: 5, steps: 400, partitions: 2, batch: 4, unknown: 20, failing: 10, most: 3, final: true},
	{clients: 8, steps: 3000, partitions: 4, batch: 3, unknown: 5, failing: 5, deletes: 1, most: 20, final: true},
}

// A history of a log that is right passes, with the facts and without.
func TestLegal(t *testing.T) {
	for i, s := range shapes {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			for seed := range uint64(40) {
				h, facts := generate(seed, s)
				for _, f := range []*checker.Facts{nil, facts} {
					options := checker.Options{Thresholds: checker.Thresholds{FinalRead: true, AllowUnjudged: true}}
					if r := checker.Check(h, f, options); r.Verdict != checker.Pass {
						t.Fatalf("seed %d, facts %v: %v %v %+v", seed, f != nil, r.Verdict, r.Reasons, r.Anomalies)
					}
				}
			}
		})
	}
}
