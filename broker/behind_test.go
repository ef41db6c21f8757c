package broker

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/env"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/trace"
)

// behind is node 2 of a cluster, which has heard of topic "t" and of nothing that came
// later.
func behind(t *testing.T) *Node {
	n := &Node{identity: identity{cluster: "c", node: 2}, trace: trace.Discard}
	n.peers.init()
	state, e := meta.Found("c", "n1:1", []byte("0123456789abcdef"), 1<<20)
	if e != nil {
		t.Fatal(e)
	}
	n.meta = &metaGroup{state: state, group: &group{replica: &replica.Replica{}}}
	for _, name := range []string{"t", "u"} {
		n.changes(t, &api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{Name: name, Partitions: 1}}})
	}
	n.changes(t, &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: &api.TopicRef{Name: "u"}}}})
	return n
}

// changes applies a request to what the node knows of meta.
func (n *Node) changes(t *testing.T, q *api.Request) {
	data, e := meta.Encode(command.Tag{}, 0, q)
	if e != nil {
		t.Fatal(e)
	}
	if e := n.meta.state.Apply(data).Response.GetError(); e != nil {
		t.Fatal(e)
	}
}

// A topic that a node has not heard of is not gone: only one that it has seen deleted is.
func TestWhatIsNotKnownIsNotGone(t *testing.T) {
	n := behind(t)
	deleted, later := n.meta.state.LastGroup(), n.meta.state.LastGroup()+1
	if !n.ended(deleted) || n.ended(later) || n.ended(deleted-1) || n.ended(api.MetaGroup) {
		t.Errorf("of groups %d to %d only %d has ended", deleted-1, later, deleted)
	}
	gone, unknown := n.meta.state.LastTopic(), n.meta.state.LastTopic()+1
	c := &coordinator{group: &group{node: n}, state: groups.New(1 << 20)}
	c.state.Apply(groups.EncodeCommit(command.Tag{}, 0, "g", groups.Commit{Offsets: []groups.Offset{
		{Partition: groups.Partition{Topic: gone - 1}, Offset: 3},
		{Partition: groups.Partition{Topic: gone}, Offset: 3},
		{Partition: groups.Partition{Topic: unknown}, Offset: 3},
	}}))
	if says := c.catalogue("g"); len(says.Gone) != 1 || says.Gone[0] != gone {
		t.Errorf("topics %v are said to be gone, want %d alone", says.Gone, gone)
	}
}

// A node may stand at the address of one that is gone, and get what is meant for that one.
func TestMessagesForAnotherNodeAreDropped(t *testing.T) {
	n := behind(t)
	for _, test := range []struct {
		cluster string
		to      uint64
		taken   bool
	}{{"c", 2, true}, {"c", 3, false}, {"d", 2, false}} {
		clear(n.peers.heard)
		n.receivePeer(env.Endpoint("n1:1"), &api.PeerBatch{ClusterId: test.cluster, From: 1, To: test.to})
		if _, taken := n.peers.heard[1]; taken != test.taken {
			t.Errorf("what is for node %d of cluster %s is taken by node 2 of c: %t", test.to, test.cluster, taken)
		}
	}
}

// Of a client that is lost no group is asked; of a node, wherever it is known from, all are.
func TestWhoIsANode(t *testing.T) {
	n := behind(t)
	n.peers.heard[1] = sighting{at: "before:1"}
	n.peers.heard[9] = sighting{at: "n9:1"}
	for peer, want := range map[env.Endpoint]bool{"n1:1": true, "n9:1": true, "before:1": false, "client": false} {
		if n.isNode(peer) != want {
			t.Errorf("%s is a node: %t", peer, !want)
		}
	}
	n.phase, n.order = phaseServing, []*group{nil} // which nobody may look at
	n.unreachable("client")
}
