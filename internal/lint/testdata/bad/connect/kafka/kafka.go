// Package kafka speaks Kafka.
package kafka

// Message is Kafka's own word.
type Message struct{}
