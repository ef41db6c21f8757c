package broker

import "github.com/reprise-mq/reprise/broker/api"

// Bounds of a description of producers.
const (
	defaultProducers = 1000
	maxProducers     = 10_000
)

// describeProducers answers with what a partition knows of its producers, once a quorum
// has confirmed the leader.
func (n *Node) describeProducers(c caller, q *api.DescribeProducersRequest) {
	refuse := func(e *api.Error) { n.refuse(c, e) }
	limit := int(q.GetMax())
	if limit < 0 || limit > maxProducers {
		refuse(api.Errorf(api.Code_INVALID_REQUEST, "describe %d producers of %s/%d: ask for 1 to %d, or with 0 for %d",
			limit, q.GetTopic().GetName(), q.GetPartition(), maxProducers, defaultProducers))
		return
	}
	if limit == 0 {
		limit = defaultProducers
	}
	n.withLog(q.GetTopic(), q.GetPartition(), refuse, func(g *group) {
		g.replica.Read(func(err error) {
			if err != nil {
				refuse(n.unread(g.id, err))
				return
			}
			state := g.partition.state
			out := &api.DescribeProducersResponse{Known: int32(state.KnownProducers())}
			for _, p := range state.Producers(limit, n.now()) {
				out.Producers = append(out.Producers, &api.ProducerState{
					ProducerId: int64(p.ID), Epoch: int32(p.Epoch), LastSequence: int32(p.LastSequence),
					LastOffset: int64(p.LastOffset), IdleMs: int64(p.Idle),
				})
			}
			n.reply(c, &api.Response{Body: &api.Response_DescribeProducers{DescribeProducers: out}})
		})
	})
}
