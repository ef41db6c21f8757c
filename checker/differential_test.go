package checker_test

import (
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
)

// smallHistories is how many small histories the differential test goes through.
const smallHistories = 100_000

// The checker and a search through all orders agree on small histories: dense
// ones, ones with holes and ones with batches, legal ones and ones that were
// tampered with. (Within the checker, the rank sweep and porcupine must agree on
// each as well.)
func TestAgainstBruteForce(t *testing.T) {
	legal, holes := 0, 0
	for seed := range uint64(smallHistories) {
		rng := prng.New(seed).Split("shape")
		s := shape{clients: int(rng.Between(2, 4)), steps: int(rng.Between(8, 26)), partitions: 1, batch: 1, most: 2}
		if rng.Chance(1, 2) {
			s.batch = 3
		}
		if rng.Chance(2, 3) {
			s.unknown = rng.Between(10, 60)
		}
		h, _ := generate(seed, s)
		for i := range h.Events {
			// Where a process stands is no matter of the log.
			if c := h.Events[i].Call; c != nil {
				c.Continue = false
			}
		}
		for range rng.Below(8) {
			tamper(rng, h)
		}
		report := checker.Check(h, nil, checker.Options{})
		want := bruteLegal(h)
		if got := len(report.Anomalies) == 0; got != want || report.Verdict == checker.Unknown {
			t.Fatalf("seed %d: checker says legal=%v, brute force says legal=%v\n%+v\n%s", seed, got, want, report, show(h))
		}
		if p := report.Partitions[0]; p.Sweep != p.Porcupine {
			t.Fatalf("seed %d: sweep says %s, porcupine says %s\n%+v\n%s", seed, p.Sweep, p.Porcupine, report, show(h))
		}
		if want {
			legal++
		}
		if report.Partitions[0].Filled > 0 {
			holes++
		}
	}
	t.Logf("%d legal, %d illegal, %d with holes", legal, smallHistories-legal, holes)
	if legal < smallHistories/5 || legal > smallHistories*4/5 || holes < smallHistories/100 {
		t.Errorf("the histories are one-sided: %d of %d legal, %d with holes", legal, smallHistories, holes)
	}
}

// mediumHistories is how many histories the judges are compared on.
const mediumHistories = 1_500

// On histories too large for a raw search, where porcupine is given the tightened
// intervals, it agrees with the rank sweep, and so do raw searches of windows.
func TestJudgesAgree(t *testing.T) {
	legal := 0
	for seed := range uint64(mediumHistories) {
		rng := prng.New(seed).Split("shape")
		h, _ := generate(seed, shape{
			clients: int(rng.Between(4, 16)), steps: 900, partitions: 1, batch: int(rng.Between(1, 3)),
			unknown: rng.Between(0, 20), most: 4,
		})
		for range rng.Below(16) {
			tamper(rng, h)
		}
		report := checker.Check(h, nil, checker.Options{})
		p := report.Partitions[0]
		if p.Raw || p.Sweep == checker.Linearizable && p.Windows == 0 {
			t.Fatalf("seed %d: the search was raw (%v), or of no window (%d)", seed, p.Raw, p.Windows)
		}
		disagree := func(a checker.Anomaly) bool { return a.Name == checker.JudgesDisagree }
		if p.Sweep != p.Porcupine || slices.ContainsFunc(report.Anomalies, disagree) {
			t.Fatalf("seed %d: sweep says %s, porcupine says %s\n%+v", seed, p.Sweep, p.Porcupine, report.Anomalies)
		}
		if p.Sweep == checker.Linearizable {
			legal++
		}
	}
	t.Logf("%d legal of %d", legal, mediumHistories)
	if legal < mediumHistories/5 || legal > mediumHistories*4/5 {
		t.Errorf("the histories are one-sided: %d of %d legal", legal, mediumHistories)
	}
}

// tamper changes something that a client was told, or when.
func tamper(rng *prng.Stream, h *histories.History) {
	if len(h.Events) == 0 {
		return
	}
	e := &h.Events[rng.Below(int64(len(h.Events)))]
	shift := api.Offset(rng.Between(-1, 1))
	switch {
	case rng.Chance(1, 3):
		postpone(rng, h, e.Index)
	case e.Answer == nil:
	case e.Op == histories.Fetch && len(e.Answer.Records) > 0 && rng.Chance(1, 2):
		last := len(e.Answer.Records) - 1
		e.Answer.Records = e.Answer.Records[:last]
	case e.Op == histories.Fetch && len(e.Answer.Records) > 0 && rng.Chance(1, 4):
		e.Answer.Records[rng.Below(int64(len(e.Answer.Records)))].Value += histories.Value(rng.Between(-1, 1))
	case e.Op == histories.Fetch:
		e.Answer.HighWatermark = max(e.Answer.HighWatermark+shift, 0)
	default:
		e.Answer.Offset = max(e.Answer.Offset+shift, 0)
	}
}

// postpone exchanges an event with the next one of another process.
func postpone(rng *prng.Stream, h *histories.History, i histories.Index) {
	for range rng.Between(1, 8) {
		j := i + 1
		if int(j) >= len(h.Events) || h.Events[i].Process == h.Events[j].Process {
			return
		}
		a, b := &h.Events[i], &h.Events[j]
		a.Time, b.Time = b.Time, a.Time
		a.Index, b.Index = j, i
		*a, *b = *b, *a
		i = j
	}
}
