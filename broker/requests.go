package broker

import (
	"errors"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/replica"
)

// caller is who asked, and under which number.
type caller struct {
	endpoint env.Endpoint
	id       uint64
}

var errNoRoute = errors.New("nobody knows where the replica is")

// request routes one request. Every request is answered exactly once, but for a
// produce with acks NONE, which never is.
func (n *Node) request(c caller, q *api.Request) {
	if n.failed != nil {
		n.refuse(c, api.Errorf(api.Code_SHUTTING_DOWN, "node %d failed and is stopping; ask another", n.identity.node))
		return
	}
	if n.phase != phaseServing || !n.meta.informed() {
		if q.GetProduce().GetAcks() != api.Acks_NONE || q.GetProduce() == nil {
			n.refuse(c, api.Errorf(api.Code_NOT_READY, "the node is still recovering or joining; retry after a pause"))
		}
		return
	}
	switch body := q.GetBody().(type) {
	case *api.Request_Produce:
		n.produce(c, body.Produce)
	case *api.Request_Fetch:
		n.fetch(c, body.Fetch)
	case *api.Request_ListOffsets:
		n.listOffsets(c, body.ListOffsets)
	case *api.Request_DeleteRecords:
		n.deleteRecords(c, body.DeleteRecords)
	case *api.Request_DescribeProducers:
		n.describeProducers(c, body.DescribeProducers)
	case *api.Request_Metadata:
		n.metadata(c, body.Metadata)
	case *api.Request_DescribeNode:
		n.describe(c)
	case *api.Request_CopySegment:
		n.copySegment(c, body.CopySegment)
	case *api.Request_AlterTopic:
		if body.AlterTopic.GetValidateOnly() {
			n.validateAlter(c, body.AlterTopic)
			return
		}
		n.changeMeta(c, q)
	case nil:
		n.refuse(c, api.Errorf(api.Code_INVALID_REQUEST,
			"the request has no body that this node knows: it is empty, or of a newer version; use a client of the node's version"))
	default:
		if !n.describeAccess(c, q) && !n.coordinate(c, q) {
			n.changeMeta(c, q)
		}
	}
}

func (n *Node) reply(c caller, response *api.Response) {
	response.Id = c.id
	n.world.Network.Send(c.endpoint, &api.Message{Body: &api.Message_Response{Response: response}})
}

func (n *Node) refuse(c caller, e *api.Error) { n.reply(c, &api.Response{Error: e}) }

// withLog finds the group of a partition that holds records, and calls then with it if
// this node leads it; otherwise it refuses. That a topic is unknown is said only by a
// state as new as the question.
func (n *Node) withLog(ref *api.TopicRef, partition int32, refuse func(*api.Error), then func(*group)) {
	n.withPartition(ref, partition, refuse, func(p *meta.Partition) {
		if p.Topic.Name == api.GroupsTopic {
			refuse(api.Errorf(api.Code_INVALID_REQUEST,
				"topic %s holds the consumer groups and no records: nothing can be produced to it, read or deleted; see group list", p.Topic.Name))
			return
		}
		n.withLeader(p, refuse, then)
	})
}

func (n *Node) withLeader(p *meta.Partition, refuse func(*api.Error), then func(*group)) {
	g := n.groups[p.Group]
	if g == nil || g.replica == nil || !g.replica.Leads() || n.stall.frozen[g.id] {
		refuse(n.notLeader(p.Group))
		return
	}
	if n.leaving.asked {
		refuse(api.Errorf(api.Code_SHUTTING_DOWN, "node %d is leaving; ask another", n.identity.node))
		return
	}
	then(g)
}

func (n *Node) withPartition(ref *api.TopicRef, partition int32, refuse func(*api.Error), then func(*meta.Partition)) {
	if p, e := n.meta.state.Resolve(ref, partition); e == nil {
		then(p)
		return
	}
	n.meta.group.replica.Read(func(err error) {
		if err != nil {
			refuse(n.unread(api.MetaGroup, err))
			return
		}
		p, e := n.meta.state.Resolve(ref, partition)
		if e != nil {
			refuse(e)
			return
		}
		then(p)
	})
}

// unread says why a group's state could not be read.
func (n *Node) unread(id api.GroupID, err error) *api.Error {
	switch {
	case errors.Is(err, replica.ErrReadsFull):
		return api.Errorf(api.Code_OVERLOADED, "node %d has too many reads of group %d waiting; retry after a pause", n.identity.node, id)
	case id == api.MetaGroup:
		return api.Errorf(api.Code_META_UNAVAILABLE, "node %d reaches no leader of the meta group; retry after a pause", n.identity.node)
	}
	return n.notLeader(id)
}

// notLeader says who leads instead, as far as this node knows.
func (n *Node) notLeader(id api.GroupID) *api.Error {
	e := api.Errorf(api.Code_NOT_LEADER, "node %d does not lead group %d", n.identity.node, id)
	node, ok := n.leaderOf(id)
	if !ok || node == n.identity.node {
		return e
	}
	if address, known := n.addressOf(node); known {
		e.LeaderId, e.LeaderAddress = uint64(node), string(address)
	}
	return e
}

// leaderOf is the node that leads a group as far as this one knows: from its own
// replica, else from the newest hint.
func (n *Node) leaderOf(id api.GroupID) (api.NodeID, bool) {
	hint := n.peers.hints[id]
	if g := n.groups[id]; g != nil && g.replica != nil {
		role := g.replica.Role()
		if role.Leader != 0 && (hint == nil || role.Term >= api.Term(hint.GetTerm())) {
			return n.nodeOf(id, role.Leader)
		}
	}
	// A hint that this node leads is of a time when it did: who took its replica since
	// has not told, or was not heard.
	if hint == nil || api.NodeID(hint.GetNode()) == n.identity.node {
		return 0, false
	}
	return api.NodeID(hint.GetNode()), true
}

// partitionResponse is a partition's outcome for a client.
func partitionResponse(out partition.Outcome) *api.Response {
	if out.Code != api.Code_OK {
		return &api.Response{Error: &api.Error{Code: out.Code, Message: out.Message}}
	}
	if out.Base == partition.NoOffset {
		return &api.Response{Body: &api.Response_DeleteRecords{DeleteRecords: &api.DeleteRecordsResponse{
			LogStart: int64(out.LogStart),
		}}}
	}
	return &api.Response{Body: &api.Response_Produce{Produce: &api.ProduceResponse{
		BaseOffset: int64(out.Base), LogStart: int64(out.LogStart),
	}}}
}
