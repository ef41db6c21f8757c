package oracle

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/segment"
)

// bound is what the batches of a topic are bounded to, from a time and an entry of the meta
// group on.
type bound struct {
	from  env.Time
	index api.Index
	bytes int64
}

// boundGrace is more than a leader takes to hear of a new bound, or to notice that it leads
// no more, and its last batches to be applied.
const boundGrace = 20 * env.Second

// noteBound takes in what a topic's batches are bounded to now.
func (o *Oracle) noteBound(t *Topic) {
	bytes, _ := o.Meta().Config(o.Meta().TopicByName(t.Name), meta.MaxMessageBytes)
	if n := len(t.bounds); n == 0 || t.bounds[n-1].bytes != bytes {
		t.bounds = append(t.bounds, bound{o.world.Now(), o.groups[api.MetaGroup].last(), bytes})
	}
}

// checkBound holds a batch that was taken against the bounds of its topic that a leader may
// have gone by: one that was away for long goes by what it has heard of meta. What a leader
// of a later term commits of an earlier one may have waited for a majority for any time, and
// is left out.
func (o *Oracle) checkBound(g *group, f *segment.Frame) {
	if g.machine.partition == nil || f.Count == 0 {
		return
	}
	host, term, ok := o.Leader(g.id)
	if ok && term > f.Term {
		return
	}
	heard := api.Index(math.MaxInt64)
	if h := o.hosts[host]; h != nil {
		heard = h.seen[api.MetaGroup].applied
	}
	data, batch := partition.Batch(f.Data)
	p := o.Meta().PartitionOf(g.id)
	if !batch || p == nil {
		return
	}
	most := int64(0)
	bounds := o.known(p.Topic.ID).bounds
	for i, b := range bounds {
		if i+1 == len(bounds) || bounds[i+1].from+boundGrace > o.world.Now() || bounds[i+1].index > heard {
			most = max(most, b.bytes)
		}
	}
	if int64(len(data)) > most {
		o.fail(BatchTooLarge, "entry %d of group %d is a batch of %d bytes, and topic %s allows %d", f.Index, g.id, len(data), p.Topic.Name, most)
	}
}
