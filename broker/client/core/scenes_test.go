package core_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/prng"
)

// scene is a client in a world without faults, for one script.
type scene struct {
	*testing.T
	world  *coretest.World
	client *core.Client
	marks  map[string]int
	// requests that arrived, in order.
	requests []*api.Request
}

func newScene(t *testing.T, config core.Config) *scene {
	s := &scene{T: t, world: coretest.NewWorld(1, 3), marks: map[string]int{}}
	s.world.CreateTopic("t", 3)
	s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return nil, false })
	host := s.world.NewHost("client")
	config.Bootstrap = s.world.Endpoints()
	config.Trace = func(e trace.Event) { s.marks[e.Name]++ }
	s.client = core.New(config, host, host, prng.New(1))
	host.Attach(s.client)
	return s
}

func (s *scene) script(f func(api.NodeID, *api.Request) (*api.Response, bool)) {
	s.world.Script = func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		if !isLookUp(q) {
			s.requests = append(s.requests, q)
		}
		return f(id, q)
	}
}

func (s *scene) run(d env.Time) {
	s.client.Flush()
	s.world.Run(s.world.Now() + d)
}

// await runs an operation to its end.
func (s *scene) await(start func(done func(core.Result))) core.Result {
	s.Helper()
	var results []core.Result
	start(func(r core.Result) { results = append(results, r) })
	s.run(60 * env.Second)
	if len(results) != 1 {
		s.Fatalf("%d results", len(results))
	}
	return results[0]
}

func (s *scene) produce(mode core.Mode, value string) core.Result {
	s.Helper()
	return s.await(func(done func(core.Result)) { s.send(mode, value, done) })
}

func (s *scene) send(mode core.Mode, value string, done func(core.Result)) {
	s.client.Produce("t", 0, []batch.Record{{Value: []byte(value)}}, core.ProduceOptions{Mode: mode}, done)
}

func (s *scene) log() string {
	all := ""
	for _, r := range s.world.Topic("t").Partitions[0].Log {
		all += string(r.Value) + " "
	}
	return all
}

func (s *scene) expect(r core.Result, code api.Code, definite bool) {
	s.Helper()
	if r.Err.GetCode() != code || r.Definite != definite {
		s.Errorf("got %v, definite %v; want %v, %v", r.Err, r.Definite, code, definite)
	}
}

func failed(code api.Code) *api.Response { return &api.Response{Error: api.Errorf(code, "scripted")} }

// first answers the first request that match accepts, the rest as usual.
func first(match func(*api.Request) bool, r *api.Response) func(api.NodeID, *api.Request) (*api.Response, bool) {
	done := false
	return func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if done || !match(q) {
			return nil, false
		}
		done = true
		return r, true
	}
}

func isProduce(q *api.Request) bool { return q.GetProduce() != nil }

// isLookUp is what a client asks for by itself, also when nothing went wrong.
func isLookUp(q *api.Request) bool { return q.GetMetadata() != nil && !q.GetMetadata().Linearizable }

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

func TestCreateInDoubtIsNotRepeated(t *testing.T) {
	s := newScene(t, core.Config{})
	create := func(done func(core.Result)) {
		s.client.CreateTopic(&api.CreateTopicRequest{Name: "new", Partitions: 1}, 0, done)
	}
	s.script(first(func(q *api.Request) bool { return q.GetCreateTopic() != nil }, failed(api.Code_LEADERSHIP_LOST)))
	r := s.await(create)
	s.expect(r, api.Code_LEADERSHIP_LOST, false)
	if r.Attempts != 1 {
		t.Errorf("%d attempts", r.Attempts)
	}
	s.expect(s.await(create), api.Code_OK, true)
	s.expect(s.await(create), api.Code_TOPIC_ALREADY_EXISTS, true)
}

// A delete whose first attempt happened unseen, and whose second finds another
// topic of that name, must leave that alone.
func TestDeleteInDoubtSparesTheNextIncarnation(t *testing.T) {
	s := newScene(t, core.Config{})
	attempts := 0
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if q.GetDeleteTopic() == nil {
			return nil, false
		}
		if attempts++; attempts > 1 {
			return nil, false
		}
		s.world.DeleteTopic("t")
		s.world.CreateTopic("t", 1)
		return failed(api.Code_LEADERSHIP_LOST), true
	})
	r := s.await(func(done func(core.Result)) { s.client.DeleteTopic("t", 0, done) })
	s.expect(r, api.Code_LEADERSHIP_LOST, false)
	if attempts < 2 || s.world.Topic("t") == nil {
		t.Errorf("%d attempts, topic %v", attempts, s.world.Topic("t"))
	}
}

// The same, where the client has heard of the next incarnation meanwhile.
func TestDeleteInDoubtStays(t *testing.T) {
	s := newScene(t, core.Config{})
	doubted := false
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		switch {
		case q.GetDeleteTopic() == nil:
			return nil, false
		case !doubted:
			doubted = true
			s.world.DeleteTopic("t")
			s.world.CreateTopic("t", 1)
			s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 0, func(r core.Result) { s.expect(r, api.Code_OK, true) })
			return failed(api.Code_LEADERSHIP_LOST), true
		}
		return failed(api.Code_META_UNAVAILABLE), s.world.Now() < env.Second
	})
	r := s.await(func(done func(core.Result)) { s.client.DeleteTopic("t", 0, done) })
	s.expect(r, api.Code_LEADERSHIP_LOST, false)
	if s.world.Topic("t") == nil {
		t.Error("the next incarnation was deleted")
	}
}

func TestRedirectIsFollowedAtOnce(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.world.Topic("t").Partitions[0].Lead(3)
	start := s.world.Now()
	var ended env.Time
	s.send(core.Idempotent, "b", func(core.Result) { ended = s.world.Now() })
	s.run(env.Second)
	if took := ended - start; ended == 0 || took > 10*env.Millisecond {
		t.Errorf("took %d us", took/env.Microsecond)
	}
}

// What is missing is named: the topic, or only a partition of it.
func TestMissingIsNamed(t *testing.T) {
	s := newScene(t, core.Config{})
	for _, missing := range []struct {
		ask  func(done func(core.Result))
		want string
	}{
		{func(done func(core.Result)) { s.client.DeleteTopic("nope", 0, done) }, `there is no topic "nope", or no longer; create it, or see topic list`},
		{func(done func(core.Result)) { s.client.ListOffsets("nope", 1, api.OffsetSpec_LATEST, 0, done) }, `there is no topic "nope", or no longer; create it, or see topic list`},
		{func(done func(core.Result)) { s.client.ListOffsets("t", 3, api.OffsetSpec_LATEST, 0, done) }, `the topic "t" has no partition 3, only those below 3`},
	} {
		r := s.await(missing.ask)
		s.expect(r, api.Code_UNKNOWN_TOPIC_OR_PARTITION, true)
		if r.Err.Message != missing.want {
			t.Errorf("said: %s; want: %s", r.Err.Message, missing.want)
		}
	}
}

func TestBounds(t *testing.T) {
	s := newScene(t, core.Config{Waiting: 3, BufferedBytes: 1000})
	results := []core.Result{}
	keep := func(r core.Result) { results = append(results, r) }
	s.client.Produce("t", 0, []batch.Record{{Value: make([]byte, 2000)}}, core.ProduceOptions{}, keep)
	s.client.Produce("t", 0, nil, core.ProduceOptions{}, keep)
	s.client.Produce("t", 0, []batch.Record{{Value: make([]byte, batch.MaxBytes)}}, core.ProduceOptions{}, keep)
	s.client.Flush()
	for i, code := range []api.Code{api.Code_OVERLOADED, api.Code_INVALID_REQUEST, api.Code_BATCH_TOO_LARGE} {
		s.expect(results[i], code, true)
	}
	results = results[:0]
	for range 5 {
		s.client.Metadata(&api.MetadataRequest{}, 0, keep)
	}
	s.client.Flush()
	if len(results) != 2 || s.client.Pending() != 3 {
		t.Errorf("%d results, %d pending", len(results), s.client.Pending())
	}
	s.run(env.Second)
	if len(results) != 5 || s.client.Pending() != 0 {
		t.Errorf("%d results, %d pending", len(results), s.client.Pending())
	}
}

// Records wait for a topic that is being looked up, and are refused only by a
// look-up that began after them.
func TestTopicMadeDuringLookup(t *testing.T) {
	s := newScene(t, core.Config{})
	lookups := 0
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if q.GetMetadata() == nil {
			return nil, false
		}
		if lookups++; lookups == 1 {
			// While the first answer is on its way, the topic is made and written to.
			s.world.At(s.world.Now(), func() {
				s.world.CreateTopic("new", 1)
				s.client.Produce("new", 0, []batch.Record{{}}, core.ProduceOptions{}, func(r core.Result) { s.expect(r, api.Code_OK, true) })
				s.client.ListOffsets("new", 0, api.OffsetSpec_LATEST, 0, func(r core.Result) { s.expect(r, api.Code_OK, true) })
			})
		}
		return nil, false
	})
	r := s.await(func(done func(core.Result)) {
		s.client.Produce("new", 0, []batch.Record{{}}, core.ProduceOptions{}, done)
	})
	s.expect(r, api.Code_UNKNOWN_TOPIC_OR_PARTITION, true)
	if s.client.Pending() != 0 {
		t.Errorf("%d pending", s.client.Pending())
	}
}

func TestFetch(t *testing.T) {
	s := newScene(t, core.Config{})
	fetch := func(offset api.Offset) core.Result {
		return s.await(func(done func(core.Result)) { s.client.Fetch("t", 0, offset, core.FetchOptions{}, done) })
	}
	s.client.Produce("t", 0, []batch.Record{{Value: []byte("a")}, {Value: []byte("b")}}, core.ProduceOptions{}, func(core.Result) {})
	s.run(env.Second)
	r := fetch(1)
	if len(r.Records) != 1 || r.Records[0].Offset != 1 || string(r.Records[0].Value) != "b" || r.Response.GetFetch().HighWatermark != 2 {
		t.Errorf("%+v", r)
	}
	if r := fetch(2); r.Err != nil || len(r.Records) != 0 {
		t.Errorf("%+v", r)
	}
	s.expect(fetch(3), api.Code_OFFSET_OUT_OF_RANGE, true)
	body := &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, 100)}}
	s.script(first(func(q *api.Request) bool { return q.GetFetch() != nil }, &api.Response{Body: body}))
	s.expect(fetch(0), api.Code_CORRUPT_BATCH, true)
	s.script(first(func(q *api.Request) bool { return q.GetFetch() != nil }, &api.Response{}))
	if r := fetch(0); r.Err != nil || r.Attempts != 2 {
		t.Errorf("%+v", r)
	}
}

func TestMetaRequests(t *testing.T) {
	s := newScene(t, core.Config{})
	s.world.LeadMeta(2)
	r := s.await(func(done func(core.Result)) { s.client.InitProducer(0, 0, 0, done) })
	if given := r.Response.GetInitProducer(); given.GetProducerId() != 1 || given.Epoch != 0 {
		t.Errorf("%+v", r)
	}
	r = s.await(func(done func(core.Result)) { s.client.InitProducer(1, 0, 0, done) })
	if given := r.Response.GetInitProducer(); given.GetProducerId() != 1 || given.Epoch != 1 {
		t.Errorf("%+v", r)
	}
	r = s.await(func(done func(core.Result)) { s.client.DescribeNode(s.world.Endpoints()[2], 0, done) })
	if r.Response.GetDescribeNode().GetNodeId() != 3 {
		t.Errorf("%+v", r)
	}
	s.requests = nil
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		switch {
		case q.GetMoveReplica() != nil:
			return &api.Response{Body: &api.Response_MoveReplica{MoveReplica: &api.MoveReplicaResponse{}}}, true
		case q.GetElectLeader() != nil:
			return &api.Response{Body: &api.Response_ElectLeader{ElectLeader: &api.ElectLeaderResponse{}}}, true
		case q.GetRemoveNode() != nil:
			return &api.Response{Body: &api.Response_RemoveNode{RemoveNode: &api.RemoveNodeResponse{}}}, true
		}
		return nil, false
	})
	for _, start := range []func(done func(core.Result)){
		func(done func(core.Result)) { s.client.MoveReplica("t", 1, 1, 2, 0, done) },
		func(done func(core.Result)) { s.client.ElectLeader("t", 1, 2, 0, done) },
		func(done func(core.Result)) { s.client.ElectLeader("", 0, 2, 0, done) },
		func(done func(core.Result)) { s.client.RemoveNode(3, 0, done) },
	} {
		s.expect(s.await(start), api.Code_OK, true)
	}
}
