package sim

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

// A rogue member is a member again and again, has what is its own taken, and is refused each
// of the other commits by its own code; and the others come to the end after it.
func TestRogueMemberIsRefused(t *testing.T) {
	p, err := plan.GenerateWorkload(workloads.Group, 5)
	if err != nil {
		t.Fatal(err)
	}
	p.Workload.Members = 1
	p.Faults, p.Families, p.Blackout = nil, plan.Families{}, false
	for i := range 3 {
		p.Faults = append(p.Faults, plan.Fault{
			Number: i, Kind: plan.RogueMember, At: 3_000, Length: 50_000, Strength: 400,
		})
	}
	r := Run(p, Options{})
	report(t, r)
	codes, begun := make(map[api.Code]int), 0
	for _, e := range r.History.Events {
		switch {
		case e.Op == histories.Commit && e.Kind != histories.Invoke:
			codes[e.Code]++
		case e.Note != nil && e.Note.Op == histories.Assigned:
			begun++
		}
	}
	for code, least := range map[api.Code]int{
		api.Code_OK: 50, api.Code_MEMBER_FENCED: 50, api.Code_UNKNOWN_MEMBER: 10, api.Code_STALE_COMMIT: 4,
	} {
		if codes[code] < least {
			t.Errorf("%d commits of 1200 steps ended with %s, want %d: %v", codes[code], code, least, codes)
		}
	}
	if begun < 15 {
		t.Errorf("partitions were begun %d times", begun)
	}
}
