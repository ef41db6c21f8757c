package core_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
)

// Nodes come and go without an error that would tell the client. So every now and
// then it asks who there is: while it is at work, a node that has just answered, and
// else any, more seldom.
func TestNodesAreKept(t *testing.T) {
	for _, work := range []func(s *scene, done func(core.Result)){
		func(s *scene, done func(core.Result)) { s.send(core.Idempotent, "a", done) },
		func(s *scene, done func(core.Result)) { s.client.Fetch("t", 0, 0, core.FetchOptions{}, done) },
	} {
		s := newScene(t, core.Config{})
		s.world.Topic("t").Partitions[0].Lead(2)
		var asked []api.NodeID
		s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
			if isLookUp(q) {
				asked = append(asked, id)
			}
			return nil, false
		})
		for range 3 {
			var result core.Result
			work(s, func(r core.Result) { result = r })
			s.run(7 * env.Second)
			s.expect(result, api.Code_OK, true)
		}
		// The first time it had just looked the topic up.
		if !slices.Equal(asked, []api.NodeID{2, 2}) {
			t.Errorf("nodes asked: %v, want the leader twice", asked)
		}
		asked = nil
		if s.run(60 * env.Second); len(asked) < 3 || len(asked) > 6 {
			t.Errorf("asked %d times in a minute without work", len(asked))
		}
	}
}

// A client that has nothing to do for long finds a cluster all of whose nodes were replaced
// meanwhile, one by one.
func TestIdleClientKeepsUp(t *testing.T) {
	for _, topics := range [][]string{{"t"}, {api.GroupsTopic}, {}} {
		s := newScene(t, core.Config{})
		for _, name := range topics {
			s.world.CreateTopic(name, 1)
			s.expect(s.await(func(done func(core.Result)) { s.client.ListOffsets(name, 0, api.OffsetSpec_LATEST, 0, done) }), api.Code_OK, true)
		}
		for _, id := range s.world.Members() {
			s.run(30 * env.Second)
			s.world.Replace(id, false)
		}
		s.run(30 * env.Second)
		s.expect(s.await(func(done func(core.Result)) {
			s.client.Metadata(&api.MetadataRequest{}, 5*env.Second, done)
		}), api.Code_OK, true)
	}
}

// A topic was deleted, and of the nodes that had it none answers any more: whoever still
// knows it hears that it is gone, from others.
func TestDeletedTopicIsForgottenWithoutItsNodes(t *testing.T) {
	s := newScene(t, core.Config{})
	list := func(done func(core.Result)) { s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 0, done) }
	s.expect(s.await(list), api.Code_OK, true)
	s.world.DeleteTopic("t")
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		return failed(api.Code_DISCONNECTED), q.GetListOffsets() != nil
	})
	s.expect(s.await(list), api.Code_UNKNOWN_TOPIC_OR_PARTITION, true)
}

// A node that was removed runs again. It names a leader that is gone by now, and a client that
// asks it first gets away from it all the same.
func TestRemovedNodeTrapsNobody(t *testing.T) {
	works := []func(s *scene, done func(core.Result)){
		func(s *scene, done func(core.Result)) { s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 0, done) },
		func(s *scene, done func(core.Result)) {
			s.client.Metadata(&api.MetadataRequest{Linearizable: true}, 0, done)
		},
		func(s *scene, done func(core.Result)) { s.send(core.Idempotent, "a", done) },
	}
	for removed := api.NodeID(1); removed <= 3; removed++ {
		for _, work := range works {
			s := newScene(t, core.Config{})
			s.strand(removed, removed%3+1, (removed+1)%3+1)
			s.expect(s.await(func(done func(core.Result)) { work(s, done) }), api.Code_OK, true)
		}
	}
}

// Every node that has a partition is replaced. That the leader is gone the client hears when
// it looks another topic up, and of the rest it knows only addresses where nobody is: it asks who has the
// partition now.
func TestPartitionThatMovedAwayIsFound(t *testing.T) {
	for _, work := range []func(s *scene, done func(core.Result)){
		func(s *scene, done func(core.Result)) { s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 0, done) },
		func(s *scene, done func(core.Result)) { s.client.Fetch("t", 0, 0, core.FetchOptions{}, done) },
		func(s *scene, done func(core.Result)) { s.send(core.Idempotent, "a", done) },
	} {
		s := newScene(t, core.Config{})
		s.world.CreateTopic("u", 1)
		s.world.Topic("t").Partitions[0].Lead(2)
		s.expect(s.await(func(done func(core.Result)) { work(s, done) }), api.Code_OK, true)
		s.world.Replace(2, false)
		s.expect(s.await(func(done func(core.Result)) {
			s.client.ListOffsets("u", 0, api.OffsetSpec_LATEST, 0, done)
		}), api.Code_OK, true)
		s.world.Replace(1, false)
		s.world.Replace(3, false)
		s.expect(s.await(func(done func(core.Result)) { work(s, done) }), api.Code_OK, true)
	}
}

// A node that was removed runs on, and is the one a client happens to ask. What it sends gets no
// answer that could tell: it finds its new leader all the same.
func TestUnacknowledgedFollowsItsLeader(t *testing.T) {
	for removed := api.NodeID(1); removed <= 3; removed++ {
		s := newScene(t, core.Config{})
		leader := removed%3 + 1
		s.world.Topic("t").Partitions[0].Lead(leader)
		s.send(core.Unacknowledged, "before", func(core.Result) {})
		s.run(env.Second)
		s.world.Replace(removed, true)
		s.world.Replace(leader, false)
		for range 60 {
			s.send(core.Unacknowledged, "lost", func(core.Result) {})
			s.run(env.Second)
		}
		s.send(core.Unacknowledged, "after", func(core.Result) {})
		s.run(env.Second)
		if log := s.log(); !strings.HasSuffix(log, "after ") {
			t.Errorf("node %d removed: %s", removed, log)
		}
	}
}

// Several ids share an address, which a stale node gives for all: it is one place to ask, not
// several in a row.
func TestAddressWithManyIDs(t *testing.T) {
	for stale := api.NodeID(1); stale <= 3; stale++ {
		s := newScene(t, core.Config{})
		dead, live := stale%3+1, (stale+1)%3+1
		s.world.LeadMeta(live)
		s.world.Topic("t").Partitions[0].Lead(dead)
		list := func(done func(core.Result)) { s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 0, done) }
		s.expect(s.await(list), api.Code_OK, true)
		s.world.Topic("t").Partitions[0].Lead(live)
		s.world.SetUp(dead, false)
		told := &api.MetadataResponse{Topics: []*api.TopicInfo{{Name: "t", Id: uint64(s.world.Topic("t").ID), Partitions: []*api.PartitionInfo{
			{Replicas: []*api.ReplicaInfo{{Node: uint64(dead)}}},
		}}}}
		for id := range uint64(3) {
			told.Nodes = append(told.Nodes, &api.NodeInfo{Id: id + 1, Address: string(s.world.Endpoints()[stale-1])})
		}
		s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
			switch {
			case id != stale:
				return nil, false
			case isLookUp(q):
				return &api.Response{Body: &api.Response_Metadata{Metadata: told}}, true
			case q.GetMetadata() != nil:
				return failed(api.Code_META_UNAVAILABLE), true
			}
			return failed(api.Code_NOT_LEADER), true
		})
		s.expect(s.await(list), api.Code_OK, true)
	}
}

// An address without an id says nothing of who leads when nobody does.
func TestAddressOfNobody(t *testing.T) {
	s := newScene(t, core.Config{})
	s.world.SetUp(3, false)
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		return &api.Response{Error: &api.Error{Code: api.Code_NOT_LEADER, LeaderAddress: string(s.world.Endpoints()[2])}}, len(s.requests) == 1
	})
	s.expect(s.await(func(done func(core.Result)) { s.client.InitProducer(0, 0, 0, done) }), api.Code_OK, true)
	before := len(s.requests)
	s.expect(s.await(func(done func(core.Result)) { s.client.InitProducer(0, 0, 0, done) }), api.Code_OK, true)
	if asked := len(s.requests) - before; asked > 2 {
		t.Errorf("asked %d times", asked)
	}
}

// strand has one node name another that is gone, where a third is the whole cluster.
func (s *scene) strand(removed, gone, live api.NodeID) {
	s.world.LeadMeta(live)
	for _, p := range s.world.Topic("t").Partitions {
		p.Lead(live)
	}
	was := &api.PartitionInfo{Leader: uint64(gone), Replicas: []*api.ReplicaInfo{{Node: uint64(gone), Replica: 1}}}
	stale := &api.MetadataResponse{MetaLeader: uint64(gone), Topics: []*api.TopicInfo{
		{Name: "t", Id: uint64(s.world.Topic("t").ID), Partitions: []*api.PartitionInfo{was}},
	}}
	s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		switch {
		case id == live:
			return nil, false
		case id == gone:
			return failed(api.Code_DISCONNECTED), true
		case isLookUp(q):
			return &api.Response{Body: &api.Response_Metadata{Metadata: stale}}, true
		}
		return &api.Response{Error: &api.Error{Code: api.Code_NOT_LEADER, LeaderId: uint64(gone), LeaderAddress: string(s.world.Endpoints()[gone-1])}}, true
	})
}
