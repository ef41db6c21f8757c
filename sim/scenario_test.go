package sim

import (
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/sim/plan"
)

// A scenario that came about passes; one whose faults never fired is weak.
func TestScenarioThatNeverCame(t *testing.T) {
	p, err := plan.GenerateScenario("isolated-leader", 1)
	if err != nil {
		t.Fatal(err)
	}
	if result := Run(p, Options{}); result.Verdict != checker.Pass {
		t.Fatalf("verdict %s: %v", result.Verdict, result.Reasons)
	}
	p.Faults = nil
	result := Run(p, Options{})
	if result.Verdict != checker.Weak {
		t.Fatalf("verdict %s, want weak", result.Verdict)
	}
	if want := "no fault isolate fired"; !strings.Contains(strings.Join(result.Reasons, "\n"), want) {
		t.Errorf("the reasons are %q, want %q in them", result.Reasons, want)
	}
}
