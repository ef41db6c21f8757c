package sim

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/sim/plan"
)

var from = flag.Uint64("from", 1, "")
var to = flag.Uint64("to", 3, "")
var story = flag.Bool("story", false, "")

func TestSeeds(t *testing.T) {
	for seed := *from; seed <= *to; seed++ {
		start := time.Now()
		r := Run(plan.Generate(seed), Options{})
		took := time.Since(start)
		t.Logf("seed %d %s %v ops %d acked %d events %d suffixes %d lossy %d cuts %d heal %d wall %v %s", seed, r.Verdict, r.Reasons, r.Report.Counts.Operations, r.Report.Counts.Acknowledged, r.Counts.Events, r.Counts.Checked.Suffixes, r.Counts.LossyCrashes, r.Counts.Cuts, r.Counts.HealMillis, took, r.Trace)
		if r.Violation != nil {
			t.Errorf("%v", *r.Violation)
		}
		for _, a := range r.Report.Anomalies {
			t.Errorf("%+v", a)
		}
		if *story {
			for _, e := range r.Story {
				t.Logf("%d %s %s", e.At, e.Who, e.What)
			}
			json.NewEncoder(os.Stdout).Encode(r.Counts)
		}
	}
}
