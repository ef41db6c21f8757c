package oracle

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
)

// bound is what the batches of a topic are bounded to, from a time and an entry of the meta
// group on.
type bound struct {
	from  env.Time
	index api.Index
	bytes int64
}

// boundGrace is more than a leader takes to hear of a new bound, or to notice that it leads
// no more, and to send on the last batches that it took before.
const boundGrace = 20 * env.Second

// noteBound takes in what a topic's batches are bounded to now.
func (o *Oracle) noteBound(t *Topic) {
	bytes, _ := o.Meta().Config(o.Meta().TopicByName(t.Name), meta.MaxMessageBytes)
	if n := len(t.bounds); n == 0 || t.bounds[n-1].bytes != bytes {
		t.bounds = append(t.bounds, bound{o.world.Now(), o.groups[api.MetaGroup].last(), bytes})
	}
}

// checkBound holds a batch against the bounds of its topic that a leader may have gone by
// when it took it. One that was away for long goes by what it has heard of meta.
func (o *Oracle) checkBound(leader *host, g *group, index api.Index, data []byte) {
	if g.id == api.MetaGroup {
		return
	}
	data, batch := partition.Batch(data)
	p := o.Meta().PartitionOf(g.id)
	if !batch || p == nil {
		return
	}
	heard := leader.seen[api.MetaGroup].applied
	most := int64(0)
	bounds := o.known(p.Topic.ID).bounds
	for i, b := range bounds {
		if i+1 == len(bounds) || bounds[i+1].from+boundGrace > o.world.Now() || bounds[i+1].index > heard {
			most = max(most, b.bytes)
		}
	}
	if int64(len(data)) > most {
		o.fail(BatchTooLarge, "%s: entry %d of group %d is a batch of %d bytes, and topic %s allows %d", leader.name, index, g.id, len(data), p.Topic.Name, most)
	}
}
