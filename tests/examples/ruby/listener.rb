# frozen_string_literal: true

# A listener gives each connection to one of two workers, which answers the request.  Its
# client is another fiber, so that the program ends.

require "async"
require "gipc"
require "net/http"
require "socket"

def answer
  connection = Socket.for_fd(Gipc.take_fds.first)
  path = connection.gets[/\AGET (\S+)/, 1]
  nil until connection.gets == "\r\n"
  connection.write("HTTP/1.0 200 OK\r\n\r\n#{path} is here\n")
  connection.close
end

Async do |task|
  # Without keep_fds, a worker has copies of the connections that are open at its start.
  pool = Gipc::Pool.open(2, keep_fds: [], timeout: 60) { answer }
  listener = TCPServer.new("127.0.0.1", 0)
  server = task.async do
    while true
      connection = listener.accept
      pool.submit(nil, ios: [connection])
      connection.close # the task has a duplicate
    end
  end

  (1..3).each { |number| print Net::HTTP.get("127.0.0.1", "/#{number}", listener.addr[1]) }
  server.stop
  pool.close
end
