# frozen_string_literal: true

# Workers from a template: a program of any size starts them at the cost of a small one.
# A child calls a method of a module; this file is what the template loads, too.

require "gipc"

module Workers
  def self.square(jobs, results)
    jobs.each { |number| results << [number, number * number] }
  end
end

return unless $PROGRAM_NAME == __FILE__

Gipc::Template.open(preload: [File.expand_path(__FILE__)]) do |template|
  # Here the program fills its memory.
  jobs, give = Gipc.pipe
  results, result = Gipc.pipe
  worker = template.start(Workers, :square, jobs, result)
  give.put_many(1..3).close
  results.each { |number, square| puts "#{number} squared is #{square}" }
  puts "exit code #{worker.join.exitcode}"
end
