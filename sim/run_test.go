package sim

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

// small cuts a plan down to so many seconds.
func small(seed uint64, seconds int) *plan.Plan {
	p, err := plan.GenerateWorkload("log", seed)
	if err != nil {
		panic(err)
	}
	p.Small = true
	p.Safety = plan.Milliseconds(seconds) * 1000
	p.Faults = slices.DeleteFunc(p.Faults, func(f plan.Fault) bool { return f.At >= p.Safety })
	for i := range p.Faults {
		f := &p.Faults[i]
		f.Length = min(f.Length, p.Safety-f.At)
	}
	p.Operations = slices.DeleteFunc(p.Operations, func(o workloads.Op) bool { return int(o.At/1_000_000_000) >= seconds })
	return p
}

// report fails the test if a run did.
func report(t *testing.T, r *Result) {
	t.Helper()
	if r.Verdict == checker.Fail {
		t.Errorf("seed %d: %+v %+v; again: reprise-sim run --seed %d", r.Seed, r.Violation, r.Report.Anomalies, r.Seed)
	}
}

// Some standard seeds pass, and prove something.
func TestSeeds(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		r := Run(plan.Generate(seed), Options{})
		report(t, r)
		if r.Verdict != checker.Pass {
			t.Errorf("seed %d is %s: %v", seed, r.Verdict, r.Reasons)
		}
		if c := r.Counts.Checked; c.Promises < 1000 || c.Acks < 300 || c.Frames < 3000 || c.States < 300 {
			t.Errorf("seed %d: the oracles checked too little: %+v", seed, c)
		}
	}
}

// A run depends on its plan alone: not on the collector, on the number of threads,
// on being written and read, or on the run before it.
func TestSamePlanSameTrace(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	traces := make(map[string]bool)
	for seed := uint64(1); seed <= 4; seed++ {
		p := small(seed, 15)
		written := plan.Encode(p)
		first := Run(p, Options{})
		report(t, first)
		debug.SetGCPercent(20)
		runtime.GOMAXPROCS(1)
		read, err := plan.Decode(written)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		second := Run(read, Options{Text: &text})
		if first.Trace != second.Trace {
			t.Errorf("seed %d: trace %s, then %s", seed, first.Trace, second.Trace)
		}
		if lines := strings.Count(text.String(), "\n"); lines < 10_000 {
			t.Errorf("seed %d: a trace of %d lines", seed, lines)
		}
		debug.SetGCPercent(400)
		runtime.GOMAXPROCS(2)
		traces[first.Trace] = true
	}
	if len(traces) != 4 {
		t.Errorf("4 seeds have %d traces", len(traces))
	}
}

// Every operation removed, every fault removed, gives another run.
func TestThePlanCounts(t *testing.T) {
	base := Run(small(3, 8), Options{}).Trace
	p := small(3, 8)
	p.Operations = p.Operations[:len(p.Operations)-1]
	if Run(p, Options{}).Trace == base {
		t.Error("one operation less made no difference")
	}
	p = small(3, 8)
	p.Faults = p.Faults[1:]
	if Run(p, Options{}).Trace == base {
		t.Error("one fault less made no difference")
	}
	p = small(3, 8)
	p.Config.Network.Latency++
	if Run(p, Options{}).Trace == base {
		t.Error("a nanosecond of latency made no difference")
	}
}

// What clients saw is judged alone where that is asked.
func TestBlackBox(t *testing.T) {
	r := Run(small(2, 10), Options{BlackBox: true})
	report(t, r)
	if r.Report.Counts.Acknowledged < 100 || !r.Counts.FinalRead {
		t.Errorf("%d operations acknowledged, final read %v", r.Report.Counts.Acknowledged, r.Counts.FinalRead)
	}
}

// A history and an account are there to be shown.
func TestStory(t *testing.T) {
	r := Run(small(3, 12), Options{})
	text := ""
	for _, e := range r.Story {
		text += e.Who + " " + e.What + "\n"
	}
	for _, want := range []string{"ready", "became leader", "fault: ", "everything heals", "all is well again"} {
		if !strings.Contains(text, want) {
			t.Errorf("the account does not say %q:\n%s", want, text)
		}
	}
	if _, err := r.History.Operations(); err != nil {
		t.Error(err)
	}
}
