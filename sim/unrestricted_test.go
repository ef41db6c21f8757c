package sim

import (
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
)

// everywhere damages so much of the segments of all nodes that no copy is whole.
func everywhere(at plan.Milliseconds) (faults []plan.Fault) {
	for node := range 3 {
		for i := range 3 {
			faults = append(faults, plan.Fault{
				Number: len(faults), Kind: plan.BitFlip, At: at + plan.Milliseconds(i), Target: plan.Target{Node: node + 1}, Strength: 60,
			})
		}
	}
	return faults
}

// A plan that is restricted lets damage hit a minority; one that is not lets it hit all,
// and what the cluster then refuses is no failure.
func TestDamageEverywhere(t *testing.T) {
	flips := func(unrestricted bool) *Result {
		p := small(3, 12)
		p.Nodes, p.Faults, p.Unrestricted = 3, everywhere(8_000), unrestricted
		p.Config.SegmentBytes, p.Config.CheckpointBytes = 4096, 4096 // so that most of it is synced
		r := Run(p, Options{})
		report(t, r)
		return r
	}
	fair, unfair := flips(false), flips(true)
	if n := fair.Counts.Faults[string(plan.BitFlip)]; n != 3 {
		t.Errorf("%d faults fired, on one node there are 3", n)
	}
	if n := unfair.Counts.Faults[string(plan.BitFlip)]; n != 9 {
		t.Errorf("%d faults fired, on all nodes there are 9", n)
	}
	if !fair.Counts.FinalRead || unfair.Counts.FinalRead {
		t.Errorf("everything could be read: with a minority damaged %t, with all %t", fair.Counts.FinalRead, unfair.Counts.FinalRead)
	}
}

// Wrong data is a failure also where everything is damaged: the verdict on a run is the
// checker's on what the clients saw.
func TestUnrestrictedIsJudged(t *testing.T) {
	p := plan.GenerateUnrestricted(2)
	r := Run(p, Options{})
	report(t, r)
	if r.Report.Verdict == "" || r.Counts.Checked.Acks == 0 || len(r.History.Events) < 1000 {
		t.Fatalf("nothing was judged: %+v", r.Counts.Checked)
	}
	events := r.History.Events
	for i := range events {
		if e := &events[i]; e.Kind == histories.Ok && e.Op == histories.Fetch && len(e.Answer.Records) > 0 {
			e.Answer.Records[0].Value++
			break
		}
	}
	if report := checker.Check(r.History, nil, checker.Options{}); report.Verdict != checker.Fail {
		t.Errorf("a changed record: %s", report.Verdict)
	}
}
