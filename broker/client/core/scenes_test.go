package core_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/prng"
	"google.golang.org/protobuf/proto"
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
		s.requests = append(s.requests, q)
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

// Batches behind a refused one come back to the queue in the order of their calls,
// whichever heard of it first.
func TestOrphansKeepTheirOrder(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if !isProduce(q) || s.world.Now() > 61*env.Second {
			return nil, false
		}
		switch records, _ := batch.Records(q.GetProduce().Batch, batch.NewCodecs()); string(records[0].Value) {
		case "1":
			return failed(api.Code_BATCH_TOO_LARGE), true
		case "2":
			// Comes to nothing, and says so last.
			id := q.Id
			s.world.At(s.world.Now()+100*env.Millisecond, func() {
				s.client.Receive(s.world.Endpoints()[0], &api.Message{Body: &api.Message_Response{Response: &api.Response{
					Id: id, Error: api.Errorf(api.Code_OVERLOADED, "scripted"),
				}}})
			})
			return nil, true
		}
		return failed(api.Code_OVERLOADED), true
	})
	for i := range 5 {
		s.send(core.Idempotent, fmt.Sprint(i+1), func(core.Result) {})
	}
	s.run(20 * env.Second)
	if s.log() != "0 2 3 4 5 " || s.client.Pending() != 0 {
		t.Error(s.log())
	}
}

func TestSequencesCountRecords(t *testing.T) {
	s := newScene(t, core.Config{})
	for i := range 10 {
		r := s.await(func(done func(core.Result)) {
			s.client.Produce("t", 0, make([]batch.Record, 3), core.ProduceOptions{}, done)
		})
		info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
		if err != nil || int(info.Sequence) != 3*i || int(r.Offset) != 3*i || info.BaseTimestamp == 0 {
			t.Fatalf("%+v, %v, %+v", info, err, r)
		}
	}
}

func TestPlainIsNotRepeatedInDoubt(t *testing.T) {
	s := newScene(t, core.Config{})
	s.script(first(isProduce, failed(api.Code_LEADERSHIP_LOST)))
	s.expect(s.produce(core.Plain, "a"), api.Code_LEADERSHIP_LOST, false)
	s.script(first(isProduce, failed(api.Code_OVERLOADED)))
	s.expect(s.produce(core.Plain, "b"), api.Code_OK, true)
	if s.log() != "b " {
		t.Error(s.log())
	}
}

func TestUnacknowledgedIsSentOnce(t *testing.T) {
	s := newScene(t, core.Config{})
	r := s.produce(core.Unacknowledged, "a")
	s.expect(r, api.Code_OK, false)
	if s.log() != "a " || r.Attempts != 1 {
		t.Error(s.log(), r.Attempts)
	}
}

func TestIdempotentIsAppendedOnce(t *testing.T) {
	for _, code := range []api.Code{api.Code_LEADERSHIP_LOST, api.Code_TIMED_OUT, api.Code_OVERLOADED, api.Code_STORAGE_FULL} {
		s := newScene(t, core.Config{})
		s.script(first(isProduce, failed(code)))
		s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
		if s.log() != "a " {
			t.Error(code, s.log())
		}
	}
}

// The second attempt says no; the first may still say yes.
func TestDefiniteErrorAfterDoubt(t *testing.T) {
	s := newScene(t, core.Config{})
	answers := []*api.Response{failed(api.Code_LEADERSHIP_LOST), failed(api.Code_CORRUPT_BATCH)}
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if !isProduce(q) || len(answers) == 0 {
			return nil, false
		}
		r := answers[0]
		answers = answers[1:]
		return r, true
	})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_LEADERSHIP_LOST, false)
	s.expect(s.produce(core.Idempotent, "b"), api.Code_OK, true)
	if s.marks["client replaces its producer epoch"] != 1 {
		t.Errorf("marks: %v", s.marks)
	}
	info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
	if err != nil || info.Epoch != 1 || info.Sequence != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestUnknownProducer(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.script(first(isProduce, failed(api.Code_UNKNOWN_PRODUCER)))
	s.expect(s.produce(core.Idempotent, "b"), api.Code_OK, true)
	info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
	if err != nil || info.Producer != 2 || info.Sequence != 0 || s.log() != "a b " {
		t.Errorf("%+v, %v, %s", info, err, s.log())
	}
}

func TestFencedAndDuplicate(t *testing.T) {
	s := newScene(t, core.Config{})
	s.script(first(isProduce, failed(api.Code_PRODUCER_FENCED)))
	s.expect(s.produce(core.Idempotent, "a"), api.Code_PRODUCER_FENCED, true)
	s.script(first(isProduce, failed(api.Code_DUPLICATE_SEQUENCE)))
	s.expect(s.produce(core.Idempotent, "b"), api.Code_DUPLICATE_SEQUENCE, false)
}

// A batch that is refused for good takes those behind it neither with it nor into
// doubt.
func TestOneRefusedOfMany(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.script(first(isProduce, failed(api.Code_BATCH_TOO_LARGE)))
	results := make([]core.Result, 10)
	for i := range results {
		s.send(core.Idempotent, fmt.Sprint(i+1), func(r core.Result) { results[i] = r })
	}
	s.run(10 * env.Second)
	s.expect(results[0], api.Code_BATCH_TOO_LARGE, true)
	for i, r := range results[1:] {
		s.expect(r, api.Code_OK, true)
		if int(r.Offset) != i+1 {
			t.Errorf("offset %d of %d", r.Offset, i+2)
		}
	}
	if s.log() != "0 2 3 4 5 6 7 8 9 10 " {
		t.Error(s.log())
	}
}

func TestAtMostFiveInFlight(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) { return nil, isProduce(q) })
	s.requests = nil
	for i := range 10 {
		s.send(core.Idempotent, fmt.Sprint(i), func(core.Result) {})
	}
	s.run(env.Second)
	if len(s.requests) != 5 {
		t.Errorf("%d requests", len(s.requests))
	}
}

// While the oldest batch waits for an answer that got lost, no more are sent than
// the broker remembers, although those after it were answered.
func TestOldestStaysKnown(t *testing.T) {
	s := newScene(t, core.Config{BatchBytes: 1})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	lost := false
	s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		if lost || !isProduce(q) {
			return nil, false
		}
		lost = true
		s.world.Answer(id, q)
		return nil, true
	})
	s.requests = nil
	for i := range 10 {
		s.send(core.Idempotent, fmt.Sprint(i+1), func(r core.Result) { s.expect(r, api.Code_OK, true) })
	}
	s.run(env.Second)
	if len(s.requests) != 5 {
		t.Errorf("%d requests", len(s.requests))
	}
	s.run(10 * env.Second)
	if s.log() != "0 1 2 3 4 5 6 7 8 9 10 " || s.client.Pending() != 0 {
		t.Error(s.log())
	}
}

func TestCallersShareABatch(t *testing.T) {
	s := newScene(t, core.Config{Linger: 5 * env.Millisecond})
	s.expect(s.produce(core.Idempotent, "0"), api.Code_OK, true)
	s.requests = nil
	for i := range 10 {
		s.send(core.Idempotent, fmt.Sprint(i), func(r core.Result) {
			if int(r.Offset) != i+1 {
				t.Errorf("record %d at offset %d", i, r.Offset)
			}
		})
		s.run(100 * env.Microsecond)
	}
	s.run(env.Second)
	if len(s.requests) != 1 || s.client.Pending() != 0 {
		t.Errorf("%d requests, %d pending", len(s.requests), s.client.Pending())
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

// With no node up, an operation ends at its deadline; it was never sent.
func TestNobodyThere(t *testing.T) {
	s := newScene(t, core.Config{})
	for id := range api.NodeID(3) {
		s.world.SetUp(id+1, false)
	}
	ended := map[string]env.Time{}
	note := func(name string, definite bool) func(core.Result) {
		return func(r core.Result) {
			ended[name] = s.world.Now()
			if r.Err == nil || r.Definite != definite {
				t.Errorf("%s: %v, definite %v", name, r.Err, r.Definite)
			}
		}
	}
	s.client.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{Timeout: 3 * env.Second}, note("produce", true))
	s.client.ListOffsets("t", 0, api.OffsetSpec_LATEST, 3*env.Second, note("list", true))
	s.client.InitProducer(0, 0, 3*env.Second, note("init", false))
	s.run(10 * env.Second)
	for _, name := range []string{"produce", "list", "init"} {
		if at := ended[name]; at < 3*env.Second || at > 3*env.Second+20*env.Millisecond {
			t.Errorf("%s ended at %d ms", name, at/env.Millisecond)
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

// Records that surely were not appended follow a topic that is made again.
func TestTopicMadeAgain(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.world.DeleteTopic("t")
	again := s.world.CreateTopic("t", 3)
	r := s.produce(core.Idempotent, "b")
	s.expect(r, api.Code_OK, true)
	if r.Topic != again.ID || r.Offset != 0 || s.log() != "b " {
		t.Errorf("%+v %s", r, s.log())
	}
}

// A partition that was not written to for long is forgotten, with its timers.
func TestIdleLane(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.run(20 * 60 * env.Second)
	s.expect(s.produce(core.Idempotent, "b"), api.Code_OK, true)
	info, err := batch.Parse(s.requests[len(s.requests)-1].GetProduce().Batch)
	if err != nil || info.Producer != 2 || s.log() != "a b " {
		t.Errorf("%+v, %v, %s", info, err, s.log())
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

// Lost links are noticed at once, and nothing is appended twice.
func TestLost(t *testing.T) {
	s := newScene(t, core.Config{})
	s.expect(s.produce(core.Idempotent, "a"), api.Code_OK, true)
	s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		if isProduce(q) && len(s.requests) == 1 {
			s.world.Answer(id, q)
			s.world.Cut(id)
			return nil, true
		}
		return nil, false
	})
	s.requests = nil
	start := s.world.Now()
	var ended env.Time
	s.send(core.Idempotent, "b", func(r core.Result) { ended = s.world.Now(); s.expect(r, api.Code_OK, true) })
	s.run(10 * env.Second)
	if ended == 0 || ended-start > 500*env.Millisecond || s.log() != "a b " {
		t.Errorf("took %d ms: %s", (ended-start)/env.Millisecond, s.log())
	}
}

// FuzzReceive: whatever a node answers, the client stands it, and every operation
// ends once.
func FuzzReceive(f *testing.F) {
	for _, m := range []*api.Response{
		failed(api.Code_NOT_LEADER),
		{Error: &api.Error{Code: 999, LeaderId: math.MaxUint64, LeaderAddress: "x"}},
		{Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{
			Nodes:  []*api.NodeInfo{{Id: 1, Address: "node-1:9000"}},
			Topics: []*api.TopicInfo{{Name: "t", Id: 1, Partitions: []*api.PartitionInfo{{Leader: 7, LeaderTerm: 9, Replicas: []*api.ReplicaInfo{{Node: 3}}}}}},
		}}},
		{Body: &api.Response_InitProducer{InitProducer: &api.InitProducerResponse{ProducerId: -1, Epoch: 1 << 20}}},
		{Body: &api.Response_Produce{Produce: &api.ProduceResponse{BaseOffset: -5}}},
		{Body: &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, 61)}}},
	} {
		f.Add(api.EncodeFrame(&api.Message{Body: &api.Message_Response{Response: m}})[4:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer := decode(data)
		if answer == nil {
			return
		}
		w := &wire{}
		c := core.New(core.Config{Bootstrap: []env.Endpoint{"b:1"}, OperationTimeout: env.Second}, w, w, prng.New(1))
		ended := 0
		done := func(core.Result) { ended++ }
		c.Produce("t", 0, []batch.Record{{}}, core.ProduceOptions{}, done)
		c.Fetch("t", 0, 0, core.FetchOptions{}, done)
		c.DeleteTopic("t", 0, done)
		c.Metadata(&api.MetadataRequest{}, 0, done)
		for round := 0; round < 200 && c.Pending() > 0; round++ {
			c.Flush()
			sent := w.sent
			w.sent = nil
			for _, m := range sent {
				answer.Id = m.request.Id
				c.Receive(m.to, &api.Message{Body: &api.Message_Response{Response: answer}})
			}
			w.now += 20 * env.Millisecond
			c.Wake()
		}
		if c.Flush(); ended != 4 || c.Pending() != 0 {
			t.Errorf("%d operations ended, %d pending", ended, c.Pending())
		}
	})
}

func decode(data []byte) *api.Response {
	m := &api.Message{}
	if proto.Unmarshal(data, m) != nil {
		return nil
	}
	return m.GetResponse()
}

type wire struct {
	now  env.Time
	sent []struct {
		to      env.Endpoint
		request *api.Request
	}
}

func (w *wire) Now() env.Time   { return w.now }
func (w *wire) Wall() int64     { return 1 }
func (w *wire) WakeAt(env.Time) {}

func (w *wire) Send(to env.Endpoint, m *api.Message) {
	w.sent = append(w.sent, struct {
		to      env.Endpoint
		request *api.Request
	}{to, m.GetRequest()})
}
