package broker

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/bundle"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// peers is what goes to and comes from other nodes, apart from calls.
type peers struct {
	// What gathers for other nodes until the next flush, ascending by node.
	outbox []*outgoing
	// Where nodes were last heard, for those that meta does not know (yet), and when.
	heard map[api.NodeID]sighting
	// Who leads the groups that have no replica here, by the newest hint.
	hints map[api.GroupID]*api.LeaderHint
}

// sighting is when and where a node was heard.
type sighting struct {
	at   env.Endpoint
	tick uint64
}

// silentTicks is how long a node has not been heard before it is thought to be down: longer
// than it takes to miss a leader. Every node answers the heartbeats of the meta group.
const silentTicks = 30

// maxPeerBatch bounds what gathers for a node in one flush, in bytes: beyond it, it
// leaves at once. With one raft message on top it stays far below what a link
// carries.
const maxPeerBatch = 4 << 20

// outgoing is what gathers for one node. Its memory is used again and again.
type outgoing struct {
	to    api.NodeID
	batch api.PeerBatch
	// Something is in the batch; of raft messages about so many bytes.
	begun bool
	bytes int
}

func (p *peers) init() {
	p.heard = make(map[api.NodeID]sighting)
	p.hints = make(map[api.GroupID]*api.LeaderHint)
}

// Transmit is replica.Host: the message leaves at the end of the flush, with all
// others for that node. To a replica that nobody has heard of it is lost.
func (n *Node) Transmit(group api.GroupID, m *raftpb.Message) {
	to, ok := n.nodeOf(group, api.ReplicaID(m.GetTo()))
	if !ok || n.stall.frozen[group] {
		return
	}
	out := n.outgoingTo(to)
	out.bytes += bundle.Add(&out.batch, group, m)
	if out.bytes >= maxPeerBatch {
		n.sendPeer(out)
	}
}

// outgoingTo is what gathers for a node.
func (n *Node) outgoingTo(to api.NodeID) *outgoing {
	at, there := slices.BinarySearchFunc(n.peers.outbox, to, func(o *outgoing, to api.NodeID) int { return cmp.Compare(o.to, to) })
	if !there {
		n.peers.outbox = slices.Insert(n.peers.outbox, at, &outgoing{to: to})
	}
	out := n.peers.outbox[at]
	if !out.begun {
		out.begun = true
		out.batch.ClusterId, out.batch.From, out.batch.To = n.identity.cluster, uint64(n.identity.node), uint64(to)
		out.batch.LowSpace = n.space.low
	}
	return out
}

// sendPeers sends what the flush gathered.
func (n *Node) sendPeers() {
	for _, out := range n.peers.outbox {
		if out.begun {
			n.sendPeer(out)
		}
	}
}

func (n *Node) sendPeer(out *outgoing) {
	if address, ok := n.addressOf(out.to); ok {
		n.world.Network.Send(address, &api.Message{Body: &api.Message_Peer{Peer: &out.batch}})
	}
	b := &out.batch
	clear(b.Raft)
	clear(b.Leaders)
	b.Raft, b.Leaders, b.Heartbeats, b.HeartbeatAnswers = b.Raft[:0], b.Leaders[:0], b.Heartbeats[:0], b.HeartbeatAnswers[:0]
	out.begun, out.bytes = false, 0
}

// receivePeer takes another node's batch. One for another cluster, or for whoever
// had this address before, is dropped.
func (n *Node) receivePeer(from env.Endpoint, in *api.PeerBatch) {
	if n.identity.cluster == "" || n.failed != nil {
		return
	}
	if in.GetClusterId() != n.identity.cluster || in.GetTo() != uint64(n.identity.node) {
		n.trace(trace.Event{Level: trace.Warn, Name: "message for another node dropped", Detail: string(from)})
		return
	}
	sender := api.NodeID(in.GetFrom())
	n.peers.heard[sender] = sighting{from, n.ticks}
	n.space.heard(sender, in.GetLowSpace())
	if n.phase != phaseServing {
		return
	}
	for _, hint := range in.GetLeaders() {
		n.takeHint(hint)
	}
	for id, m := range bundle.Messages(in) {
		g := n.groups[id]
		if g == nil || g.replica == nil || n.stall.frozen[id] {
			continue
		}
		g.heard(api.ReplicaID(m.GetFrom()), sender)
		if !n.turnsAway(id, m) {
			g.replica.Step(m)
		}
	}
}

// heardNodes lists the nodes that were heard, ascending.
func (n *Node) heardNodes() []api.NodeID { return slices.Sorted(maps.Keys(n.peers.heard)) }

// silent lists the other nodes that the leader of the meta group has not heard of for a
// while. Whoever has led for less does not know yet.
func (n *Node) silent() (nodes []api.NodeID) {
	for _, node := range n.meta.state.Nodes() {
		last := max(n.peers.heard[node.ID].tick, n.meta.group.ledSince)
		if node.ID != n.identity.node && n.ticks-last >= silentTicks {
			nodes = append(nodes, node.ID)
		}
	}
	return nodes
}

func (n *Node) takeHint(hint *api.LeaderHint) {
	known := n.peers.hints[api.GroupID(hint.GetGroup())]
	if known == nil || known.GetTerm() < hint.GetTerm() {
		n.peers.hints[api.GroupID(hint.GetGroup())] = hint
	}
}

// forgetHints drops what was heard of groups that have ended.
func (n *Node) forgetHints() {
	//detvet:allow maporder what goes does not depend on the order
	maps.DeleteFunc(n.peers.hints, func(id api.GroupID, _ *api.LeaderHint) bool { return n.ended(id) })
}

// announce tells every node who leads a group now.
func (n *Node) announce(g *group) {
	hint := &api.LeaderHint{Group: uint64(g.id), Term: uint64(g.replica.Role().Term), Node: uint64(n.identity.node)}
	n.takeHint(hint)
	for _, node := range n.meta.state.Nodes() {
		if node.ID != n.identity.node {
			out := n.outgoingTo(node.ID)
			out.batch.Leaders = append(out.batch.Leaders, hint)
		}
	}
}

// nodeOf says on which node a replica is: as meta says, else as last heard.
func (n *Node) nodeOf(id api.GroupID, r api.ReplicaID) (api.NodeID, bool) {
	if node, ok := n.meta.nodeOf(id, r); ok {
		return node, true
	}
	if g := n.groups[id]; g != nil {
		return g.lastHeard(r)
	}
	return 0, false
}

// route is where a replica was last heard.
type route struct {
	replica api.ReplicaID
	node    api.NodeID
}

// maxRoutes bounds what is known of one group's replicas; of more, the first heard of
// are forgotten.
const maxRoutes = 16

// heard notes on which node a replica is.
func (g *group) heard(r api.ReplicaID, node api.NodeID) {
	for i := range g.routes {
		if g.routes[i].replica == r {
			g.routes[i].node = node
			return
		}
	}
	if len(g.routes) == maxRoutes {
		g.routes = slices.Delete(g.routes, 0, 1)
	}
	g.routes = append(g.routes, route{r, node})
}

func (g *group) lastHeard(r api.ReplicaID) (api.NodeID, bool) {
	for _, known := range g.routes {
		if known.replica == r {
			return known.node, true
		}
	}
	return 0, false
}

func (n *Node) addressOf(id api.NodeID) (env.Endpoint, bool) {
	if node := n.meta.state.Node(id); node != nil {
		return env.Endpoint(node.Address), true
	}
	last, ok := n.peers.heard[id]
	return last.at, ok
}

// unreachable tells the groups that what they sent to a node may be lost, and that
// the node may not lead any more.
func (n *Node) unreachable(peer env.Endpoint) {
	if n.phase != phaseServing || !n.isNode(peer) {
		return
	}
	for _, g := range n.order {
		switch {
		case g.replica == nil:
		case g.replica.Leads():
			for _, id := range g.replica.Members() {
				if n.isAt(g.id, id, peer) {
					g.replica.Unreachable(id)
				}
			}
		case n.isAt(g.id, g.replica.Role().Leader, peer):
			n.leaderLost(g)
		}
	}
}

// isNode reports whether a node is at an endpoint, as far as is known; most that are lost
// are clients, and no group has anything to do with them.
func (n *Node) isNode(peer env.Endpoint) bool {
	at := func(id api.NodeID) bool {
		address, ok := n.addressOf(id)
		return ok && address == peer
	}
	return slices.ContainsFunc(n.meta.state.Nodes(), func(node *meta.Node) bool { return at(node.ID) }) || slices.ContainsFunc(n.heardNodes(), at)
}

// isAt reports whether a replica's node is the one at an endpoint.
func (n *Node) isAt(id api.GroupID, r api.ReplicaID, peer env.Endpoint) bool {
	node, ok := n.nodeOf(id, r)
	address, known := n.addressOf(node)
	return ok && known && address == peer
}

// leaderLost has the others find a new leader without waiting until the old one is
// missed: a process that ends breaks its links at once. If it lives, and only a
// link broke, nothing comes of it: the others still hear it and refuse their votes.
// One of the followers calls the election, lest they split the votes.
func (n *Node) leaderLost(g *group) {
	leader := g.replica.Role().Leader
	g.replica.ForgetLeader()
	conf, _ := g.replica.Conf()
	others := slices.DeleteFunc(slices.Sorted(slices.Values(conf.GetVoters())), func(id uint64) bool { return id == uint64(leader) })
	if len(others) > 0 && others[0] == uint64(g.replica.ID()) {
		g.campaigns = lossCampaigns
	}
}

// CopyFrom is replica.Host.
func (n *Node) CopyFrom(group api.GroupID, from api.ReplicaID, file api.Index, position int64, length int, done func([]byte, error)) {
	var address env.Endpoint
	node, ok := n.nodeOf(group, from)
	if ok {
		address, ok = n.addressOf(node)
	}
	if !ok {
		done(nil, errNoRoute)
		return
	}
	n.copyFrom(address, group, file, position, length, done)
}

func (n *Node) copyFrom(to env.Endpoint, group api.GroupID, file api.Index, position int64, length int, done func([]byte, error)) {
	q := &api.Request{Body: &api.Request_CopySegment{CopySegment: &api.CopySegmentRequest{
		Group: uint64(group), Segment: uint64(file), Position: position, Length: int32(length),
	}}}
	n.afford(length, func() {
		n.calls.send(to, q, func(response *api.Response) {
			if response.GetError() != nil {
				done(nil, response.GetError())
				return
			}
			done(response.GetCopySegment().GetData(), nil)
		})
	})
}

func (n *Node) copySegment(c caller, q *api.CopySegmentRequest) {
	g := n.groups[api.GroupID(q.GetGroup())]
	if q.GetPosition() < 0 || q.GetLength() <= 0 {
		n.refuse(c, api.Errorf(api.Code_INVALID_REQUEST, "%d bytes at %d are no range of a segment", q.GetLength(), q.GetPosition()))
		return
	}
	if g == nil || g.replica == nil || g.replica.Store() == nil {
		n.refuse(c, api.Errorf(api.Code_NOT_READY, "node %d has no log of group %d, or not yet", n.identity.node, q.GetGroup()))
		return
	}
	asks := func(r api.ReplicaID) bool {
		node, placed := n.nodeOf(g.id, r)
		address, known := n.addressOf(node)
		return placed && known && address == c.endpoint
	}
	g.replica.Serve(api.Index(q.GetSegment()), q.GetPosition(), int(q.GetLength()), asks, func(data []byte, err error) {
		if err != nil {
			// That it is gone is the truth about the log; anything else is about this disk.
			code := api.Code_LOG_DAMAGED
			if errors.Is(err, segment.ErrGone) {
				code = api.Code_SEGMENT_GONE
			}
			n.refuse(c, api.Errorf(code, "segment %d of group %d: %v", q.GetSegment(), q.GetGroup(), err))
			return
		}
		n.reply(c, &api.Response{Body: &api.Response_CopySegment{CopySegment: &api.CopySegmentResponse{Data: data}}})
	})
}

var _ replica.Host = (*Node)(nil)
