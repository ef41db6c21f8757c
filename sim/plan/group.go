package plan

// group gives the workload a consumer group.
func (g *generator) group() {
	w := &g.plan.Workload
	w.Members = int(g.seed.Split("group").Between(2, 4))
}
