package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/reprise-mq/reprise/broker/client"
)

// What the client costs by itself: the nodes are make-believe, but the sockets are
// real.
func BenchmarkProduce(b *testing.B) {
	value := make([]byte, 1024)
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("blocking-%d", callers), func(b *testing.B) {
			c := newCluster(b).client(client.Config{})
			var wg sync.WaitGroup
			b.SetBytes(1024)
			b.ResetTimer()
			for caller := range callers {
				wg.Go(func() {
					for range (b.N + callers - 1) / callers {
						if _, err := c.Produce(context.Background(), "t", int32(caller%3), client.Record{Value: value}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
	b.Run("pipelined", func(b *testing.B) {
		c := newCluster(b).client(client.Config{})
		var last *client.Produced
		b.SetBytes(1024)
		b.ResetTimer()
		for i := range b.N {
			last = c.ProduceAsync(context.Background(), client.Idempotent, "t", int32(i%3), client.Record{Value: value})
		}
		if _, err := last.Wait(context.Background()); err != nil {
			b.Error(err)
		}
	})
}
