package meta

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// maxListed bounds the replicas of a partition with those that are on their way
// out.
const maxListed = 2 * MaxReplicas

// moveReplica asks for one replica more, one less, or one in place of another. One
// such change of a partition is under way at a time, with an exception: a new
// replica that is not complete may be given up for another. Else a node that died
// while it was being filled would block the partition for ever.
func (s *State) moveReplica(r *api.MoveReplicaRequest) *api.Response {
	p, err := s.Resolve(r.Topic, r.Partition)
	from, to := api.NodeID(r.From), api.NodeID(r.To)
	renews := from != 0 && from == to
	switch {
	case err != nil:
	case renews:
		err = s.checkRenew(p, from)
	default:
		err = s.checkMove(p, from, to)
	}
	if err != nil {
		return &api.Response{Error: err}
	}
	if renews {
		p.renew(from)
	} else {
		p.move(from, to)
	}
	return &api.Response{Body: &api.Response_MoveReplica{MoveReplica: &api.MoveReplicaResponse{}}}
}

func (p *Partition) move(from, to api.NodeID) {
	at := len(p.Replicas)
	if i := p.position(from); i >= 0 {
		p.Replicas[i].Removing = true
		// The new replica takes the old one's place in the order of preference.
		at = i + 1
	}
	if to != 0 {
		p.lastReplica++
		p.Replicas = slices.Insert(p.Replicas, at, Replica{Node: to, ID: p.lastReplica, Adding: true})
	}
}

// renew puts another incarnation in the place of one whose log is lost: it has none of
// the old one's promises, and gets the log from the others like any new replica. The
// old one is as good as dead from now on, and leaves the configuration when the new one
// has caught up.
func (p *Partition) renew(node api.NodeID) {
	p.lastReplica++
	r := &p.Replicas[p.position(node)]
	*r = Replica{Node: node, ID: p.lastReplica, Adding: true, Elected: r.Elected}
}

// minRenewable replicas have a majority without one of them.
const minRenewable = 3

// checkRenew refuses to renew a replica while another is not complete: two of three
// that have nothing would be a majority.
func (s *State) checkRenew(p *Partition, node api.NodeID) *api.Error {
	if err := s.checkFrom(p, node); err != nil {
		return err
	}
	r, _ := p.ReplicaOn(node)
	switch {
	case r.Removing || p.Changing() && !r.Adding:
		return api.Errorf(api.Code_MOVE_IN_PROGRESS, "the replicas of %s are changing already; wait", p)
	case len(p.wanted()) < minRenewable:
		return api.Errorf(api.Code_INVALID_REPLICATION_FACTOR,
			"%s has %d replicas, and without the one on node %d there is no majority that could let another in", p, len(p.wanted()), node)
	}
	return nil
}

func (s *State) checkMove(p *Partition, from, to api.NodeID) *api.Error {
	if from != 0 {
		if err := s.checkFrom(p, from); err != nil {
			return err
		}
	}
	if to != 0 {
		if err := s.checkTo(p, to); err != nil {
			return err
		}
	}
	if p.Changing() && (to == 0 || !p.givesUp(from)) || len(p.Replicas) == maxListed {
		return api.Errorf(api.Code_MOVE_IN_PROGRESS,
			"the replicas of %s are changing already; wait, or name another node for the new replica", p)
	}
	wanted := len(p.wanted())
	switch {
	case to == 0 && wanted == 1:
		return api.Errorf(api.Code_INVALID_REPLICATION_FACTOR,
			"node %d holds the last replica of %s; add another first, or delete the topic", from, p)
	case from == 0 && wanted == MaxReplicas:
		return api.Errorf(api.Code_INVALID_REPLICATION_FACTOR,
			"%s has %d replicas, which is the most; remove one first", p, wanted)
	}
	return nil
}

func (s *State) checkFrom(p *Partition, from api.NodeID) *api.Error {
	if s.Node(from) == nil {
		return unknownNode(uint64(from))
	}
	if p.position(from) < 0 {
		return api.Errorf(api.Code_NODE_IS_REPLICA, "node %d holds no replica of %s to give up; see topic describe", from, p)
	}
	return nil
}

func (s *State) checkTo(p *Partition, to api.NodeID) *api.Error {
	n := s.Node(to)
	switch {
	case n == nil:
		return unknownNode(uint64(to))
	case p.position(to) >= 0:
		return api.Errorf(api.Code_NODE_IS_REPLICA, "node %d holds a replica of %s already; name another node", to, p)
	case n.Removing:
		return api.Errorf(api.Code_INVALID_REQUEST, "node %d is being removed; name another node", to)
	}
	return nil
}

// givesUp reports whether a move away from the node only replaces a replica that
// is not complete.
func (p *Partition) givesUp(from api.NodeID) bool {
	r, ok := p.ReplicaOn(from)
	return ok && r.Adding && !r.Removing
}

// wanted gives the replicas that are to stay, in their order. There is always one.
func (p *Partition) wanted() []Replica {
	var wanted []Replica
	for _, r := range p.Replicas {
		if !r.Removing {
			wanted = append(wanted, r)
		}
	}
	return wanted
}

// replicaChanged takes a committed configuration of a group, as it stood when it
// was not joint. A late report changes nothing.
func (s *State) replicaChanged(r *api.ReplicaChangedRequest) *api.Response {
	done := &api.Response{Body: &api.Response_ReplicaChanged{ReplicaChanged: &api.ReplicaChangedResponse{}}}
	if api.GroupID(r.Group) == api.MetaGroup {
		s.metaChanged(r)
		return done
	}
	p := s.PartitionOf(api.GroupID(r.Group))
	if p == nil {
		return refuse(api.Code_UNKNOWN_TOPIC_OR_PARTITION, "there is no group %d, or no longer; its topic was deleted", r.Group)
	}
	p.configured(r)
	return done
}

// configured drops the replicas that were given up, once the group's configuration
// is what is wanted and nothing else. Only an index above the last one counts: the
// report of an older configuration could look like the one that is wanted now.
func (p *Partition) configured(r *api.ReplicaChangedRequest) {
	if api.Index(r.Index) <= p.changed {
		return
	}
	p.changed = api.Index(r.Index)
	var voters []api.ReplicaID
	for _, v := range r.Voters {
		voters = append(voters, api.ReplicaID(v))
	}
	slices.Sort(voters)
	if len(r.Learners) > 0 || !slices.Equal(voters, p.Wanted()) {
		return
	}
	p.Replicas = p.wanted()
	for i := range p.Replicas {
		p.Replicas[i].Adding = false
	}
}

// electLeader makes a node the preferred leader of a partition, or, without a
// topic, of the meta group. Node 0 elects nobody: the one that is first stays so only as
// long as that is even.
func (s *State) electLeader(r *api.ElectLeaderRequest) *api.Response {
	node := api.NodeID(r.Node)
	n := s.Node(node)
	if n == nil && node != 0 {
		return &api.Response{Error: unknownNode(r.Node)}
	}
	done := &api.Response{Body: &api.Response_ElectLeader{ElectLeader: &api.ElectLeaderResponse{}}}
	if isMeta(r.Topic) {
		if n != nil && (!n.Voter || n.Removing) {
			return refuse(api.Code_NODE_IS_REPLICA, "node %d has no vote in the meta group; name a node that has", n.ID)
		}
		s.preferred = node
		return done
	}
	p, err := s.Resolve(r.Topic, r.Partition)
	if err != nil {
		return &api.Response{Error: err}
	}
	// It was not elected yet, perhaps, when whoever spreads leaders looked.
	if r.Spread && p.Replicas[0].Elected {
		return refuse(api.Code_INVALID_REQUEST, "node %d was elected leader of %s; elect another, or node 0 for nobody", p.Replicas[0].Node, p)
	}
	if node != 0 {
		replica, ok := p.ReplicaOn(node)
		if !ok || replica.Adding || replica.Removing {
			return refuse(api.Code_NODE_IS_REPLICA, "node %d holds no complete replica of %s; name a node that does", node, p)
		}
	}
	p.elect(node, !r.Spread)
	return done
}

// elect puts the replica on a node first, 0: none; elected says whether it has to stay
// there.
func (p *Partition) elect(node api.NodeID, elected bool) {
	p.Replicas[0].Elected = false
	if node != 0 {
		moveToFront(p.Replicas, p.position(node))
		p.Replicas[0].Elected = elected
	}
}
