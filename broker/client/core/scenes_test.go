package core_test

import (
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
