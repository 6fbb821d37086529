# frozen_string_literal: true

# A program that must end with all that it has started: stop reaches a process that leads
# a session of its own and ignores SIGTERM.

require "gipc"

PROGRAM = <<~SH
  setsid sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done' &
  wait
SH

child = Gipc.exec_process(["sh", "-c", PROGRAM], stdout: :pipe, group: :tree)
puts child.stdout.gets
child.stop(grace: 1.0)
puts "the child ended by SIG#{Signal.signame(-child.exitcode)}"
# The last copy of its standard output is closed.
puts "and all that it has started is gone" if child.stdout.read.empty?
