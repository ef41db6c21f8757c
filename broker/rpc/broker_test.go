package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestGarbageOnThePort(t *testing.T) {
	t.Parallel() // it waits for timeouts
	s := serve(t)
	noise := make([]byte, 100_000)
	rand.Read(noise)
	for _, garbage := range [][]byte{
		noise,
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), noise...),
		[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	} {
		c, err := net.Dial("tcp", string(s.address))
		if err != nil {
			t.Fatal(err)
		}
		c.Write(garbage)
		c.SetReadDeadline(time.Now().Add(2 * handshakeTime))
		for buffer := make([]byte, 4096); err == nil; {
			_, err = c.Read(buffer)
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("the connection stays open after %.20q", garbage)
		}
		c.Close()
	}
	s.works()
	if s.count() != 1 {
		t.Fatalf("the node received %d messages", s.count())
	}
}

// A message of the wrong form ends the call, and nothing else.
func TestGarbageInAMessage(t *testing.T) {
	s := serve(t)
	stream := s.link()
	if err := stream.SendMsg(encoded{sliceOf([]byte("\xff\xff\xff\xff"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Fatal("the link goes on")
	}
	s.works()
}

func TestTooManyPending(t *testing.T) {
	const over = 10
	s := serve(t)
	stream := s.link()
	batch := &Requests{}
	for i := range maxPending + over {
		batch.Requests = append(batch.Requests, produce(uint64(i), api.Acks_ALL))
	}
	stream.Send(batch)
	for i := 0; i < over; {
		answers, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range answers.Responses {
			if r.Error.GetCode() != api.Code_OVERLOADED || r.Id != uint64(maxPending+i) {
				t.Fatalf("answer %d is %v", i, r)
			}
			i++
		}
	}
	if s.count() != maxPending {
		t.Fatalf("the node received %d requests", s.count())
	}
	// Each answer makes room for one more.
	s.Send(s.sender(0), answer(0))
	stream.Send(&Requests{Requests: []*api.Request{produce(7777, api.Acks_ALL)}})
	s.await("the request", func() bool { return s.count() == maxPending+1 })
}

func TestAcksNoneAreNotPending(t *testing.T) {
	s := serve(t)
	stream := s.link()
	batch := &Requests{}
	for i := range maxPending + 1 {
		batch.Requests = append(batch.Requests, produce(uint64(i), api.Acks_NONE))
	}
	batch.Requests = append(batch.Requests, produce(7777, api.Acks_ALL))
	stream.Send(batch)
	s.await("all requests", func() bool { return s.count() == maxPending+2 })
	s.Send(s.sender(0), answer(7777))
	if answers, err := stream.Recv(); err != nil || answers.Responses[0].Id != 7777 {
		t.Fatalf("the answer is %v, %v", answers, err)
	}
}

func TestCall(t *testing.T) {
	s := serve(t)
	client := NewBrokerClient(s.conn())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if r, err := client.Call(ctx, produce(5, api.Acks_NONE)); err != nil || r.Id != 5 {
		t.Fatalf("acks none: %v, %v", r, err)
	}
	s.works()

	short, cancelShort := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		_, err := client.Call(short, produce(6, api.Acks_ALL))
		failed <- err
	}()
	s.await("the request", func() bool { return s.count() == 3 })
	cancelShort()
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Fatalf("the call failed with %v", err)
	}
	s.await("the loss of the caller", func() bool { return s.hasLost(s.sender(2)) })
	s.Send(s.sender(2), answer(6))

	s.end()
	if _, err := client.Call(ctx, produce(7, api.Acks_ALL)); status.Code(err) != codes.Unavailable {
		t.Fatalf("of a node that has ended: %v", err)
	}
}

func TestCloseEndsCallsAndLinks(t *testing.T) {
	s := serve(t)
	stream, client := s.link(), NewBrokerClient(s.conn())
	stream.Send(&Requests{Requests: []*api.Request{produce(1, api.Acks_ALL)}})
	s.await("a request", func() bool { return s.count() == 1 })
	failed := make(chan error, 1)
	go func() {
		_, err := client.Call(context.Background(), produce(2, api.Acks_ALL))
		failed <- err
	}()
	s.await("another request", func() bool { return s.count() == 2 })
	// What was answered arrives before the end.
	large := answer(1)
	large.GetResponse().Body = &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, 4<<20)}}
	s.Send(s.sender(0), large)
	silent, err := net.Dial("tcp", string(s.address))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	s.Close()
	if took := time.Since(began); took > 2*drainTime {
		t.Errorf("Close took %v", took)
	}
	if answers, err := stream.Recv(); err != nil || len(answers.Responses[0].GetFetch().Batches) != 4<<20 {
		t.Fatalf("the last answer was not sent: %v", err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Fatal("the link goes on")
	}
	if err := <-failed; err == nil {
		t.Fatal("the call was answered")
	}
}

// What a node has answered arrives though the node ends, and hears of another request by then.
func TestAnswersOutliveTheNode(t *testing.T) {
	s := serve(t)
	stream := s.link()
	const many = 8 // more than gRPC itself takes off the queue
	for id := range uint64(many) {
		stream.Send(&Requests{Requests: []*api.Request{produce(id, api.Acks_ALL)}})
	}
	s.await("the requests", func() bool { return s.count() == many })
	for id := range uint64(many) {
		m := answer(id)
		m.GetResponse().Body = &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, 3<<20)}}
		s.Send(s.sender(0), m)
	}
	s.end()
	stream.Send(&Requests{Requests: []*api.Request{produce(many, api.Acks_ALL)}})
	s.await("the end of what is heard", func() bool {
		s.Network.mu.Lock()
		defer s.Network.mu.Unlock()
		return len(s.clients) == 0
	})
	go s.Close()
	for got := 0; got < many; {
		answers, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d of %d answers: %v", got, many, err)
		}
		got += len(answers.Responses)
	}
	if _, err := stream.Recv(); err == nil {
		t.Fatal("the link goes on")
	}
}

// So does the answer of a single call.
func TestAnswersOfCallsOutliveTheNode(t *testing.T) {
	for range 16 {
		inbox := &notes{}
		n := NewNetwork("host:1", inbox, Credentials{})
		inbox.each = func(from env.Endpoint, m *api.Message) {
			n.Send(from, answer(m.GetRequest().Id))
			n.leave()
		}
		r, err := (&brokerService{network: n}).Call(t.Context(), produce(5, api.Acks_ALL))
		if err != nil || r.Id != 5 {
			t.Fatalf("a call that was answered: %v, %v", r, err)
		}
	}
}

// A client that takes no answers loses its link, not the node its memory.
func TestStuckClient(t *testing.T) {
	s := serve(t)
	stream := s.link()
	stream.Send(&Requests{Requests: []*api.Request{produce(1, api.Acks_ALL)}})
	s.await("a request", func() bool { return s.count() == 1 })
	to := s.sender(0)
	m := answer(1)
	m.GetResponse().Body = &api.Response_CopySegment{CopySegment: &api.CopySegmentResponse{Data: make([]byte, 16<<20)}}
	for range (maxQueued+2*windowSize)/(16<<20) + 2 {
		s.Send(to, m)
	}
	s.await("the loss of the client", func() bool { return s.hasLost(to) })
	s.works()
}

// A client that fetches more at once than its link carries in that time keeps the link, and
// hears what it may ask again.
func TestManyFetchesAtOnce(t *testing.T) {
	s := serve(t)
	stream := s.link()
	const many, size = 40, 8 << 20
	for id := range uint64(many) {
		stream.Send(&Requests{Requests: []*api.Request{produce(id+1, api.Acks_ALL)}})
	}
	s.await("the requests", func() bool { return s.count() == many })
	for id := range uint64(many) {
		m := answer(id + 1)
		m.GetResponse().Body = &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, size)}}
		s.Send(s.sender(0), m)
	}
	answered, refused := 0, 0
	for answered+refused < many {
		got, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d answers and %d refusals: %v", answered, refused, err)
		}
		for _, r := range got.Responses {
			switch {
			case len(r.GetFetch().GetBatches()) == size:
				answered++
			case r.GetError().GetCode() == api.Code_OVERLOADED:
				refused++
			default:
				t.Fatalf("answer %d: %v", r.Id, r.GetError())
			}
		}
	}
	if answered < maxQueued/4/size || refused == 0 {
		t.Errorf("%d answers, %d refusals", answered, refused)
	}
}

// While a client does not take its answers, the node takes none of its requests.
func TestSlowClientIsPaused(t *testing.T) {
	s := serve(t)
	stream := s.link()
	send := func(id uint64) { stream.Send(&Requests{Requests: []*api.Request{produce(id, api.Acks_ALL)}}) }
	send(1)
	s.await("a request", func() bool { return s.count() == 1 })
	large := answer(1)
	large.GetResponse().Body = &api.Response_Fetch{Fetch: &api.FetchResponse{Batches: make([]byte, 16<<20)}}
	const many = 5 // gRPC itself takes two off the queue
	for range many {
		s.Send(s.sender(0), large)
	}
	send(2) // the reader was waiting for it already
	send(3)
	time.Sleep(50 * time.Millisecond)
	if s.count() > 2 {
		t.Fatal("a request came in")
	}
	for range many {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	s.await("the requests", func() bool { return s.count() == 3 })
}

// A client that says that it sends nothing more hears the answers to what it has sent.
func TestAnswersAfterAHalfClose(t *testing.T) {
	s := serve(t)
	link := s.link()
	if err := link.Send(&Requests{Requests: []*api.Request{produce(1, api.Acks_ALL)}}); err != nil {
		t.Fatal(err)
	}
	if err := link.CloseSend(); err != nil {
		t.Fatal(err)
	}
	s.await("the request", func() bool { return s.count() == 1 })
	time.Sleep(50 * time.Millisecond) // as long as a node may take to sync
	s.Send(s.sender(0), answer(1))
	got, err := link.Recv()
	if err != nil {
		t.Fatalf("no answer: %v (EOF means status OK: %t)", err, errors.Is(err, io.EOF))
	}
	if len(got.Responses) != 1 || got.Responses[0].Id != 1 {
		t.Fatalf("answer %v", got)
	}
	if _, err := link.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("the end: %v", err)
	}
	s.await("the loss", func() bool { return s.hasLost(s.sender(0)) })
}

// A link whose client is gone after its half-close ends.
func TestEndsWithAClientThatIsGoneAfterItsHalfClose(t *testing.T) {
	s := serve(t)
	conn := s.conn()
	link, err := NewBrokerClient(conn).Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link.Send(&Requests{Requests: []*api.Request{produce(1, api.Acks_ALL)}})
	link.CloseSend()
	s.await("the request", func() bool { return s.count() == 1 })
	conn.Close()
	s.await("the loss", func() bool { return s.hasLost(s.sender(0)) })
}
