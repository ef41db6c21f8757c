package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/sim"
	"github.com/reprise-mq/reprise/sim/oracle"
)

// outcome is one seed's line in JSON.
type outcome struct {
	Seed    uint64          `json:"seed"`
	Verdict checker.Verdict `json:"verdict"`
	// Anomalies are the names of what was wrong, by oracles and checker.
	Anomalies []string `json:"anomalies"`
	// Violation is what an oracle saw first; Witness says in words what was wrong.
	Violation *oracle.Violation `json:"violation,omitempty"`
	Witness   string            `json:"witness,omitempty"`
	Reasons   []string          `json:"reasons,omitempty"`
	Trace     string            `json:"trace"`
	// Received is the digest of what nodes and clients received, if that was asked.
	Received  string         `json:"received,omitempty"`
	Ops       int            `json:"ops"`
	Acked     int            `json:"acked"`
	Unknown   int            `json:"unknown"`
	Events    uint64         `json:"events"`
	Faults    map[string]int `json:"faults"`
	Marks     map[string]int `json:"marks"`
	VirtualMs int64          `json:"virtual_ms"`
	WallMs    int64          `json:"wall_ms"`
	// FailedMs is when, in the time of the plan, what was wrong was plain; 0 if it
	// never was, or that is not known.
	FailedMs int64       `json:"failed_ms,omitempty"`
	Counts   *sim.Counts `json:"counts,omitempty"`
}

// newOutcome sums a run up.
func newOutcome(r *sim.Result, wall time.Duration) *outcome {
	o := &outcome{
		Seed: r.Seed, Verdict: r.Verdict, Violation: r.Violation, Reasons: r.Reasons, Trace: r.Trace, Received: r.Received,
		Ops: r.Report.Counts.Operations, Acked: r.Report.Counts.Acknowledged, Unknown: r.Report.Counts.Unknown,
		Events: r.Counts.Events, Faults: r.Counts.Faults, Marks: r.Counts.Marks,
		VirtualMs: r.VirtualMillis, WallMs: wall.Milliseconds(), FailedMs: failedMs(r), Counts: &r.Counts, Anomalies: []string{},
	}
	if v := r.Violation; v != nil {
		o.Anomalies = append(o.Anomalies, string(v.Name))
		o.Witness = v.Message
	}
	for _, a := range r.Report.Anomalies {
		if !slices.Contains(o.Anomalies, string(a.Name)) {
			o.Anomalies = append(o.Anomalies, string(a.Name))
		}
		if o.Witness == "" {
			o.Witness = fmt.Sprintf("%s/%d: %s", a.Topic, a.Partition, a.Message)
		}
	}
	return o
}

// failedMs is when what is wrong with a run was plain, in the time of its plan: when
// an oracle said so, or when the last operation of the first witness began.
func failedMs(r *sim.Result) int64 {
	const perMilli = 1_000_000
	if v := r.Violation; v != nil {
		return max(int64(v.At)/perMilli+1-r.Counts.ReadyMillis, 0)
	}
	last := int64(0)
	if len(r.Report.Anomalies) > 0 {
		for _, i := range r.Report.Anomalies[0].Witness {
			last = max(last, int64(r.History.Events[i].Time)/perMilli+1)
		}
	}
	return last
}

// lost is the outcome of a seed whose process crashed or hung.
func lost(seed uint64, name, witness string, wall time.Duration) *outcome {
	return &outcome{
		Seed: seed, Verdict: checker.Fail, Anomalies: []string{name}, Witness: witness,
		Faults: map[string]int{}, Marks: map[string]int{}, WallMs: wall.Milliseconds(),
	}
}

// describe writes what is to be said of a seed that did not pass, and how to see it
// again.
func (o *outcome) describe(again string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s", o.Seed, o.Verdict)
	if len(o.Anomalies) > 0 {
		fmt.Fprintf(&b, ": %s", strings.Join(o.Anomalies, ", "))
	}
	b.WriteByte('\n')
	for _, line := range append(firstLines(o.Witness, witnessLines), o.Reasons...) {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	fmt.Fprintf(&b, "    again: %s\n", again)
	return b.String()
}

// witnessLines bounds how much of a witness is shown.
const witnessLines = 26

// firstLines cuts a text into lines, at most so many.
func firstLines(text string, most int) []string {
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[:min(len(lines), most)]
}

// tally sums outcomes up.
type tally struct {
	began time.Time
	// took is how long the seeds ran, one after the other, where they ran elsewhere;
	// 0 where the time since began counts.
	took              time.Duration
	verdicts          map[checker.Verdict]int
	seeds, ops, acked int
	events            uint64
	virtual           time.Duration
	fired, firedSeeds map[string]int
	marks             map[string]int
}

func newTally() *tally {
	return &tally{
		began: time.Now(), verdicts: make(map[checker.Verdict]int),
		fired: make(map[string]int), firedSeeds: make(map[string]int), marks: make(map[string]int),
	}
}

func (t *tally) add(o *outcome) {
	t.seeds++
	t.verdicts[o.Verdict]++
	t.ops += o.Ops
	t.acked += o.Acked
	t.events += o.Events
	t.virtual += time.Duration(o.VirtualMs) * time.Millisecond
	for kind, n := range o.Faults {
		t.fired[kind] += n
		t.firedSeeds[kind]++
	}
	for mark, n := range o.Marks {
		t.marks[mark] += n
	}
}

// failed reports whether the seeds together are no success: one failed, or of a
// hundred or more at least one in a hundred proved too little.
func (t *tally) failed() bool {
	weak := t.verdicts[checker.Weak] + t.verdicts[checker.Unknown]
	return t.verdicts[checker.Fail] > 0 || t.seeds >= 100 && weak*100 >= t.seeds
}

// progress is the live line.
func (t *tally) progress(of string) string {
	minutes := time.Since(t.began).Minutes()
	return fmt.Sprintf("%d%s seeds, %.0f a minute: %d pass, %d weak, %d unknown, %d fail",
		t.seeds, of, float64(t.seeds)/max(minutes, 1e-9), t.verdicts[checker.Pass], t.verdicts[checker.Weak],
		t.verdicts[checker.Unknown], t.verdicts[checker.Fail])
}

// summary is what is said at the end.
func (t *tally) summary() string {
	var b strings.Builder
	wall := t.took
	if wall == 0 {
		wall = time.Since(t.began)
	}
	fmt.Fprintf(&b, "seeds        %d\n", t.seeds)
	fmt.Fprintf(&b, "verdicts     %d pass, %d weak, %d unknown, %d fail\n", t.verdicts[checker.Pass],
		t.verdicts[checker.Weak], t.verdicts[checker.Unknown], t.verdicts[checker.Fail])
	fmt.Fprintf(&b, "virtual time %s\n", t.virtual.Round(time.Second))
	fmt.Fprintf(&b, "real time    %s, %.0f seeds a minute, %.0f times as fast as the clock\n", wall.Round(100*time.Millisecond),
		float64(t.seeds)/max(wall.Minutes(), 1e-9), t.virtual.Seconds()/max(wall.Seconds(), 1e-9))
	fmt.Fprintf(&b, "events       %d\n", t.events)
	fmt.Fprintf(&b, "operations   %d, of which %d acknowledged\n", t.ops, t.acked)
	b.WriteString("faults fired (in so many seeds)\n")
	for _, kind := range slices.Sorted(maps.Keys(t.fired)) {
		fmt.Fprintf(&b, "    %-16s %6d  (%d)\n", kind, t.fired[kind], t.firedSeeds[kind])
	}
	return b.String()
}
