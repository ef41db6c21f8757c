package broker

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
)

// Retention is decided when an entry is applied (see package partition). What is left
// for the leader is to write into the log what that decision needs and nothing else
// says: what the topic wants, and that time has passed.

// retain looks after a partition's retention, on its leader.
func (n *Node) retain(g *group, p *meta.Partition) {
	if g.noting {
		return
	}
	var encode encoder
	age := g.partition.age()
	if want := n.settings(p.Topic); want.Version > g.partition.state.Settings().Version {
		encode = func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
			return partition.EncodeSettings(tag, now, want), nil
		}
	} else if g.partition.state.Due(age) {
		encode = func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
			return partition.EncodeAge(tag, now, age), nil
		}
	} else {
		return
	}
	g.noting = true
	g.propose(encode, func(*api.Response) { g.noting = false })
}

// settings is what a topic wants of its partitions.
func (n *Node) settings(t *meta.Topic) partition.Settings {
	segmentBytes, _ := n.meta.state.Config(t, meta.SegmentBytes)
	retentionBytes, _ := n.meta.state.Config(t, meta.RetentionBytes)
	retentionTime, _ := n.meta.state.Config(t, meta.RetentionTime)
	return partition.Settings{
		Version: t.ConfigVersion, SegmentBytes: uint64(segmentBytes),
		RetentionTime: api.Milliseconds(retentionTime), RetentionBytes: retentionBytes,
	}
}

// maxBatchBytes bounds a batch for a partition: what its topic says, or what the node
// does.
func (n *Node) maxBatchBytes(g *group) int {
	if p := n.meta.state.PartitionOf(g.id); p != nil {
		if limit, set := n.meta.state.Config(p.Topic, meta.MaxMessageBytes); set {
			return int(limit)
		}
	}
	return n.cfg.MaxBatchBytes
}

// validateAlter answers whether a topic's configs could be changed, as of now.
func (n *Node) validateAlter(c caller, q *api.AlterTopicRequest) {
	n.meta.group.replica.Read(func(err error) {
		if err != nil {
			n.refuse(c, n.unread(api.MetaGroup, err))
			return
		}
		if e := n.meta.state.ValidateAlter(q); e != nil {
			n.refuse(c, e)
			return
		}
		n.reply(c, &api.Response{Body: &api.Response_AlterTopic{AlterTopic: &api.AlterTopicResponse{}}})
	})
}
