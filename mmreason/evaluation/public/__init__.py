"""Public video benchmarks: their published files as questions, asked and scored.

    questions = load_questions(find_benchmark("videomme"), Path("Video-MME"))
    run_benchmark(reasoner, questions, questions.items, BenchmarkRun(), Path("runs/videomme"))

Nothing is downloaded, and no data of a benchmark is in this package.
"""
