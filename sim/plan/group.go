package plan

import "github.com/reprise-mq/reprise/workloads"

// group gives the workload a consumer group.
func (g *generator) group() {
	w := &g.plan.Workload
	w.Kind = workloads.Group
	w.Members = int(g.seed.Split("group").Between(2, 4))
}
