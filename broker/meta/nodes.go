package meta

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Node is a member of the cluster.
type Node struct {
	ID      api.NodeID
	Address string
	// Voter: the node has a vote in the latest committed configuration of the meta
	// group that was reported.
	Voter bool
	// Removing: the node is on its way out. It gets no replica, and disappears once
	// the meta group's configuration is without it.
	Removing bool
	token    string
}

// MetaReplica is the raft id of the node's replica of the meta group. A node has
// one in its life, so they share the number.
func (n *Node) MetaReplica() api.ReplicaID { return api.ReplicaID(n.ID) }

func (s *State) addNode(token []byte, address string) *Node {
	s.lastNode++
	n := &Node{ID: s.lastNode, Address: address, token: string(token)}
	s.nodes = append(s.nodes, n)
	return n
}

// join gives a node its identity. A token that is known gets the same again, for
// the first answer may have been lost.
func (s *State) join(r *api.JoinRequest) *api.Response {
	n := s.NodeByToken(r.Token)
	switch {
	case s.cluster == "":
		return refuse(api.Code_NOT_READY, "the cluster has not been founded; join later")
	case n != nil:
		n.Address = r.Address
	case len(s.nodes) >= MaxNodes:
		return refuse(api.Code_INVALID_REQUEST, "the cluster has %d nodes, which is the most; remove one first", len(s.nodes))
	default:
		n = s.addNode(r.Token, r.Address)
	}
	return &api.Response{Body: &api.Response_Join{Join: &api.JoinResponse{
		ClusterId: s.cluster, NodeId: uint64(n.ID), MetaReplica: uint64(n.MetaReplica())}}}
}

func (s *State) updateNode(r *api.UpdateNodeRequest) *api.Response {
	n := s.Node(api.NodeID(r.NodeId))
	if n == nil || n.token != string(r.Token) {
		return refuse(api.Code_UNKNOWN_NODE,
			"node %d with this token is not in the cluster, or no longer; join it again with an empty data folder", r.NodeId)
	}
	n.Address = r.Address
	return &api.Response{Body: &api.Response_UpdateNode{UpdateNode: &api.UpdateNodeResponse{}}}
}

// removeNode marks a node to go. Asking again changes nothing.
func (s *State) removeNode(r *api.RemoveNodeRequest) *api.Response {
	n := s.Node(api.NodeID(r.Node))
	if n == nil {
		return &api.Response{Error: unknownNode(r.Node)}
	}
	if held := s.ReplicasOn(n.ID); len(held) > 0 {
		return refuse(api.Code_NODE_HAS_REPLICAS,
			"node %d still holds replicas of %s; move them to other nodes first", n.ID, names(held))
	}
	if !slices.ContainsFunc(s.live(), func(other *Node) bool { return other != n }) {
		return refuse(api.Code_LAST_NODE, "node %d is the last one; join another first", n.ID)
	}
	n.Removing = true
	if s.preferred == n.ID {
		s.preferred = 0
	}
	return &api.Response{Body: &api.Response_RemoveNode{RemoveNode: &api.RemoveNodeResponse{}}}
}

// metaChanged takes a committed configuration of the meta group. The latest one
// counts again, unlike that of another group: a node may be removed that was in no
// configuration yet, and then none will follow to let it go. No older one can look
// like it, for these reports stand in the same log as the configurations.
func (s *State) metaChanged(r *api.ReplicaChangedRequest) {
	if api.Index(r.Index) < s.changed {
		return
	}
	s.changed = api.Index(r.Index)
	for _, n := range s.nodes {
		n.Voter = slices.Contains(r.Voters, uint64(n.MetaReplica()))
	}
	s.nodes = slices.DeleteFunc(s.nodes, func(n *Node) bool {
		return n.Removing && !n.Voter && !slices.Contains(r.Learners, uint64(n.MetaReplica()))
	})
}

// MetaConfig is the wanted configuration of the meta group, both lists ascending.
// The voters are the largest odd number of the nodes that stay, at most
// MaxMetaVoters: present ones first, then the lowest ids. The other nodes that stay
// are learners.
func (s *State) MetaConfig() (voters, learners []api.ReplicaID) {
	live := s.live()
	slices.SortFunc(live, func(a, b *Node) int {
		if a.Voter != b.Voter {
			return cmp.Compare(rank(a), rank(b))
		}
		return cmp.Compare(a.ID, b.ID)
	})
	n := min(MaxMetaVoters, (len(live)-1)|1)
	for i, node := range live {
		if i < n {
			voters = append(voters, node.MetaReplica())
		} else {
			learners = append(learners, node.MetaReplica())
		}
	}
	slices.Sort(voters)
	slices.Sort(learners)
	return voters, learners
}

func rank(n *Node) int {
	if n.Voter {
		return 0
	}
	return 1
}

// live gives the nodes that stay, ascending by id. In a cluster that was founded
// there is always one.
func (s *State) live() []*Node {
	var live []*Node
	for _, n := range s.nodes {
		if !n.Removing {
			live = append(live, n)
		}
	}
	return live
}
