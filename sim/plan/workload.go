package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/workloads"
)

// shares of the workloads among standard seeds; "" is that of a log.
var shares = []string{
	"", "", "", "", "", "", workloads.Retention, workloads.Retention, workloads.Group,
	workloads.Membership, workloads.Membership, workloads.Mixed,
}

// GenerateWorkload makes a plan as Generate does, with a workload of a kind: "log", or one
// of workloads.Kinds.
func GenerateWorkload(kind string, seed uint64) (*Plan, error) {
	g := newGenerator(seed)
	if kind != "log" && !slices.Contains(workloads.Kinds, kind) {
		return nil, fmt.Errorf("there is no workload %q; there are log, %s", kind, strings.Join(workloads.Kinds, ", "))
	}
	if kind != "log" {
		g.workload(kind)
	}
	return g.standard(), nil
}

// workload makes the workload one of a kind.
func (g *generator) workload(kind string) {
	w := &g.plan.Workload
	w.Kind = kind
	if kind == workloads.Mixed {
		w.Ops = w.Ops * 2 / 3 // there is enough to do beside them
	}
	if w.Retains() {
		g.retention()
	}
	if w.Grouped() {
		g.group()
	}
}
